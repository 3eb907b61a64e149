//! From the rules of a profile to a program.

use std::collections::{BTreeMap, BTreeSet};

use super::SeccompError;
use super::assemble::{Decision, Instruction, Range, Test, search};
use super::kernel::KernelVersion;
use super::profile::{Profile, Rule};
use super::table::{ARM_PRIVATE, Abi, Machine, X32_MARK};

const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// The kernel takes no longer programs.
const MAX_INSTRUCTIONS: usize = 4096;

/// Returns the program as the kernel wants it, eight bytes an instruction.
pub(super) fn program(
    profile: &Profile,
    machine: Machine,
    capabilities: &BTreeSet<String>,
    kernel: KernelVersion,
) -> Result<Vec<u8>, SeccompError> {
    let rules = profile.applicable(machine, capabilities, kernel)?;
    let default = verdict(&profile.default_action, profile.default_errno_ret)?;
    let covered = profile.architectures(machine);
    let mut code = vec![Instruction::load_architecture()];
    for (audit, abis) in machine.families() {
        let mut ranges = vec![Range {
            start: 0,
            decision: plain(KILL_PROCESS),
        }];
        for abi in abis
            .iter()
            .filter(|abi| covered.contains(&abi.profile_name()))
        {
            add_ranges(&mut ranges, *abi, profile, &rules, default)?;
        }
        let mut section = vec![Instruction::load_number()];
        section.extend(search(&ranges));
        code.push(Instruction::unless_equal_skip_one(audit));
        code.push(Instruction::skip(1));
        code.push(Instruction::skip(section.len()));
        code.extend(section);
    }
    code.push(Instruction::verdict(KILL_PROCESS));
    if code.len() > MAX_INSTRUCTIONS {
        return Err(SeccompError::Unsupported {
            what: format!("{} instructions are too many", code.len()),
        });
    }
    Ok(code.into_iter().flat_map(Instruction::bytes).collect())
}

/// Appends what one calling convention decides, from its first number on.
fn add_ranges(
    ranges: &mut Vec<Range>,
    abi: Abi,
    profile: &Profile,
    rules: &[&Rule],
    default: u32,
) -> Result<(), SeccompError> {
    let mark = if abi == Abi::X32 { X32_MARK } else { 0 };
    let decisions = decisions(abi, rules, default)?;
    let newest = newest_known(abi, profile);
    let beyond = if is_refusal(default) {
        ERRNO | ENOSYS
    } else {
        default
    };
    let mut next = 0;
    for (number, decision) in decisions {
        fill(ranges, mark, next, number, newest, (default, beyond));
        push(ranges, mark | number, decision);
        next = number + 1;
    }
    fill(ranges, mark, next, u32::MAX, newest, (default, beyond));
    Ok(())
}

/// Covers the numbers from `from` up to (without) `to`, about which no rule says anything: the default for those that
/// the profile's author may have known, "no such call" for newer ones, so that programs fall back to older calls.
fn fill(ranges: &mut Vec<Range>, mark: u32, from: u32, to: u32, newest: u32, verdicts: (u32, u32)) {
    if from <= newest && from < to {
        push(ranges, mark | from, plain(verdicts.0));
    }
    let beyond = from.max(newest.saturating_add(1));
    if beyond < to {
        push(ranges, mark | beyond, plain(verdicts.1));
    }
}

fn push(ranges: &mut Vec<Range>, start: u32, decision: Decision) {
    match ranges.last_mut() {
        Some(last) if last.start == start => last.decision = decision,
        Some(last) if last.decision == decision => {}
        _ => ranges.push(Range { start, decision }),
    }
}

fn plain(verdict: u32) -> Decision {
    Decision {
        conditional: Vec::new(),
        otherwise: verdict,
    }
}

/// Returns what the rules decide, for each number that they speak of.
fn decisions(
    abi: Abi,
    rules: &[&Rule],
    default: u32,
) -> Result<BTreeMap<u32, Decision>, SeccompError> {
    let numbers = abi.numbers();
    let mut conditional: BTreeMap<u32, Vec<(Vec<Test>, u32)>> = BTreeMap::new();
    let mut certain: BTreeMap<u32, u32> = BTreeMap::new();
    for rule in rules {
        let verdict = verdict(&rule.action, rule.errno_ret)?;
        for number in rule.names().filter_map(|name| numbers.get(name).copied()) {
            for alternative in rule.alternatives() {
                if alternative.is_empty() {
                    certain.entry(number).or_insert(verdict);
                    continue;
                }
                if let Some(wrong) = alternative.iter().find(|argument| argument.index > 5) {
                    let what = format!("argument {} of a system call", wrong.index);
                    return Err(SeccompError::Unsupported { what });
                }
                let tests = alternative
                    .iter()
                    .map(|a| Test::new(a, abi.is_32_bit()))
                    .collect();
                conditional
                    .entry(number)
                    .or_default()
                    .push((tests, verdict));
            }
        }
    }
    let all: BTreeSet<u32> = conditional.keys().chain(certain.keys()).copied().collect();
    let decide = |number| {
        let otherwise = certain.get(&number).copied().unwrap_or(default);
        let conditional = conditional.remove(&number).unwrap_or_default();
        // Conditions that lead to where everything else leads are no conditions.
        let conditional = if conditional.iter().all(|(_, verdict)| *verdict == otherwise) {
            Vec::new()
        } else {
            conditional
        };
        (
            number,
            Decision {
                conditional,
                otherwise,
            },
        )
    };
    Ok(all.into_iter().map(decide).collect())
}

/// Returns the highest number that the profile mentions, whether or not the rule applies here.
fn newest_known(abi: Abi, profile: &Profile) -> u32 {
    let numbers = abi.numbers();
    let mentioned = profile
        .syscalls
        .iter()
        .flat_map(Rule::names)
        .filter_map(|name| numbers.get(name).copied());
    mentioned
        .filter(|number| *number < ARM_PRIVATE)
        .max()
        .unwrap_or(0)
}

fn is_refusal(verdict: u32) -> bool {
    matches!(
        verdict & 0xffff_0000,
        ERRNO | KILL_THREAD | KILL_PROCESS | TRAP
    )
}

fn verdict(action: &str, errno: Option<u32>) -> Result<u32, SeccompError> {
    let errno = errno.unwrap_or(EPERM) & 0xffff;
    Ok(match action {
        "SCMP_ACT_ALLOW" => ALLOW,
        "SCMP_ACT_ERRNO" => ERRNO | errno,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => KILL_THREAD,
        "SCMP_ACT_KILL_PROCESS" => KILL_PROCESS,
        "SCMP_ACT_TRAP" => TRAP,
        "SCMP_ACT_TRACE" => TRACE | errno,
        "SCMP_ACT_LOG" => LOG,
        other => {
            return Err(SeccompError::Unsupported {
                what: format!("action {other}"),
            });
        }
    })
}
