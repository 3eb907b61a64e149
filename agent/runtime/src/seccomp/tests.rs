//! Runs compiled programs in an interpreter and compares them with a direct reading of the rules.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::compile::program;
use super::kernel::KernelVersion;
use super::profile::{Comparison, Profile};
use super::table::{Abi, Machine, X32_MARK};
use super::{DEFAULT_PROFILE, SeccompError, compile, to_oci};

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const KILL: u32 = 0x8000_0000;
const NOW: KernelVersion = KernelVersion { major: 6, minor: 1 };

fn run(program: &[u8], audit: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend(number.to_le_bytes());
    data.extend(audit.to_le_bytes());
    data.extend([0; 8]);
    data.extend(arguments.iter().flat_map(|a| a.to_le_bytes()));
    let (mut at, mut word) = (0, 0_u32);
    loop {
        let [c0, c1, jt, jf, k @ ..] = program.as_chunks::<8>().0[at];
        let value = u32::from_ne_bytes(k);
        let mut jump = |holds: bool| at += usize::from(if holds { jt } else { jf });
        match u16::from_ne_bytes([c0, c1]) {
            0x20 => word = u32::from_le_bytes(data[value as usize..][..4].try_into().unwrap()),
            0x54 => word &= value,
            0x05 => at += value as usize,
            0x15 => jump(word == value),
            0x25 => jump(word > value),
            0x35 => jump(word >= value),
            0x06 => return value,
            other => panic!("unexpected instruction {other:#x}"),
        }
        at += 1;
    }
}

fn caps(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&n| n.to_owned()).collect()
}

fn default_for(machine: Machine, names: &[&str]) -> Vec<u8> {
    program(
        &Profile::parse(DEFAULT_PROFILE).unwrap(),
        machine,
        &caps(names),
        NOW,
    )
    .unwrap()
}

fn x86(program: &[u8], name: &str, first: u64) -> u32 {
    run(
        program,
        0xc000_003e,
        Abi::X86_64.numbers()[name],
        [first, 0, 0, 0, 0, 0],
    )
}

/// What the rules say, read one after the other.
fn by_reading(
    profile: &Profile,
    names: &BTreeSet<String>,
    abi: Abi,
    number: u32,
    arguments: [u64; 6],
) -> u32 {
    let of = |n: &str| abi.numbers().get(n) == Some(&number);
    let verdict = |action: &str, errno: Option<u32>| match action {
        "SCMP_ACT_ALLOW" => ALLOW,
        "SCMP_ACT_ERRNO" => 0x0005_0000 | errno.unwrap_or(1),
        other => panic!("{other}"),
    };
    let machine = if matches!(abi, Abi::Aarch64 | Abi::Arm) {
        Machine::Aarch64
    } else {
        Machine::X86_64
    };
    let mut certain = None;
    for rule in profile.applicable(machine, names, NOW).unwrap() {
        if !rule.names().any(of) {
            continue;
        }
        let verdict = verdict(&rule.action, rule.errno_ret);
        let Some(conditions) = rule.args.as_ref().filter(|a| !a.is_empty()) else {
            certain.get_or_insert(verdict);
            continue;
        };
        let holds = conditions.iter().all(|c| {
            let low = abi.is_32_bit() || c.bits == Some(32);
            let given = arguments[c.index as usize] & if low { 0xffff_ffff } else { u64::MAX };
            match c.op {
                Comparison::NotEqual => given != c.value,
                Comparison::Less => given < c.value,
                Comparison::LessOrEqual => given <= c.value,
                Comparison::Equal => given == c.value,
                Comparison::GreaterOrEqual => given >= c.value,
                Comparison::Greater => given > c.value,
                Comparison::MaskedEqual => given & c.value == c.value_two,
            }
        });
        if holds {
            return verdict;
        }
    }
    let newest = profile
        .syscalls
        .iter()
        .flat_map(|r| r.names())
        .filter_map(|n| abi.numbers().get(n))
        .copied();
    let newest = newest.filter(|n| *n < 0x000f_0000).max().unwrap();
    certain.unwrap_or(if number > newest { ENOSYS } else { EPERM })
}

proptest! {
    #[test]
    fn programs_decide_as_the_rules_read(
        number in 0_u32..520,
        first in prop_oneof![0_u64..64, Just(0x7e02_0000), Just(0x1_0000_0026), any::<u64>()],
        second in any::<u64>(),
        administrator in any::<bool>(),
    ) {
        let profile = Profile::parse(DEFAULT_PROFILE).unwrap();
        let names = caps(if administrator { &["CAP_SYS_ADMIN"] } else { &[] });
        let arguments = [first, second, 0, 0, 0, 0];
        for (machine, abi, audit, mark) in [
            (Machine::X86_64, Abi::X86_64, 0xc000_003e, 0),
            (Machine::X86_64, Abi::X32, 0xc000_003e, X32_MARK),
            (Machine::X86_64, Abi::X86, 0x4000_0003, 0),
            (Machine::Aarch64, Abi::Aarch64, 0xc000_00b7, 0),
            (Machine::Aarch64, Abi::Arm, 0x4000_0028, 0),
        ] {
            let program = program(&profile, machine, &names, NOW).unwrap();
            let expected = by_reading(&profile, &names, abi, number, arguments);
            prop_assert_eq!(run(&program, audit, mark | number, arguments), expected, "{:?} {}", abi, number);
        }
    }

    #[test]
    fn comparisons_hold_for_all_64_bits(op in 0_usize..7, value in any::<u64>(), two in any::<u64>(), near in -2_i64..3) {
        let names = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
        let text = format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["read"],"action":"SCMP_ACT_ALLOW",
            "args":[{{"index":2,"op":"SCMP_CMP_{}","value":{value},"valueTwo":{two}}}]}}]}}"#, names[op]);
        let profile = Profile::parse(&text).unwrap();
        let program = program(&profile, Machine::X86_64, &caps(&[]), NOW).unwrap();
        for given in [value.wrapping_add_signed(near), two, value & two, 0, u64::MAX] {
            let arguments = [0, 0, given, 0, 0, 0];
            let expected = by_reading(&profile, &caps(&[]), Abi::X86_64, 0, arguments);
            prop_assert_eq!(run(&program, 0xc000_003e, 0, arguments), expected);
        }
    }
}

#[test]
fn the_default_profile_refuses_what_docker_refuses() {
    let program = default_for(Machine::X86_64, &[]);
    assert_eq!(x86(&program, "write", 1), ALLOW);
    for name in [
        "mount",
        "bpf",
        "keyctl",
        "kexec_load",
        "io_uring_setup",
        "userfaultfd",
        "unshare",
        "chroot",
    ] {
        assert_eq!(x86(&program, name, 0), EPERM, "{name}");
    }
    assert_eq!(x86(&program, "clone3", 0), ENOSYS);
    assert_eq!(x86(&program, "clone", 0x11), ALLOW);
    assert_eq!(x86(&program, "clone", 0x1000_0000), EPERM);
    assert_eq!(x86(&program, "socket", 2), ALLOW);
    assert_eq!(x86(&program, "socket", 40), EPERM);
    assert_eq!(x86(&program, "personality", 0xffff_ffff), ALLOW);
    assert_eq!(x86(&program, "personality", 1), EPERM);
    assert_eq!(run(&program, 0xc000_003e, 9999, [0; 6]), ENOSYS);
    assert_eq!(run(&program, 0xc000_00b7, 1, [0; 6]), KILL);
}

#[test]
fn capabilities_open_what_they_stand_for() {
    let program = default_for(Machine::X86_64, &["CAP_SYS_ADMIN", "CAP_SYS_CHROOT"]);
    for name in ["mount", "clone3", "unshare", "chroot"] {
        assert_eq!(x86(&program, name, 0x1000_0000), ALLOW, "{name}");
    }
}

#[test]
fn upper_bits_do_not_smuggle_a_socket_family_past_the_rule() {
    let program = default_for(Machine::X86_64, &[]);
    for family in [38, 40] {
        assert_eq!(x86(&program, "socket", 0x1_0000_0000 | family), EPERM);
    }
}

#[test]
fn programs_of_32_bits_have_the_same_socket_families() {
    let program = default_for(Machine::X86_64, &[]);
    let numbers = Abi::X86.numbers();
    let call =
        |name: &str, first: u64| run(&program, 0x4000_0003, numbers[name], [first, 0, 0, 0, 0, 0]);
    assert_eq!(call("socket", 2), ALLOW);
    assert_eq!(call("socket", 38), EPERM);
    assert_eq!(call("socket", 40), EPERM);
    // It hides the family behind a pointer; C libraries of 32 bits have no other call, so that it is
    // open as in Docker.
    assert_eq!(call("socketcall", 1), ALLOW);
}

#[test]
fn programs_are_short_enough_to_be_cheap() {
    let instructions = default_for(Machine::X86_64, &[]).len() / 8;
    assert!(instructions < 700, "{instructions}");
}

#[test]
fn the_same_question_is_answered_from_memory() {
    let first = compile(DEFAULT_PROFILE, &caps(&["CAP_CHOWN"])).unwrap();
    let second = compile(DEFAULT_PROFILE, &caps(&["CAP_CHOWN"])).unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &second));
}

#[test]
fn unknown_words_are_refused_by_name() {
    let text = r#"{"defaultAction":"SCMP_ACT_SHRUG","syscalls":[]}"#;
    let error = compile(text, &caps(&[])).unwrap_err();
    assert_eq!(error.to_string(), "seccomp profile: action SCMP_ACT_SHRUG");
    assert!(matches!(
        compile("[", &caps(&[])).unwrap_err(),
        SeccompError::Parse { .. }
    ));
}

#[test]
fn the_oci_form_has_the_conditions_decided() {
    let oci = serde_json::to_value(to_oci(DEFAULT_PROFILE, &caps(&[])).unwrap()).unwrap();
    let rules = oci["syscalls"].as_array().unwrap();
    let of = |name: &str| {
        rules
            .iter()
            .filter(|r| r["names"].as_array().unwrap().iter().any(|n| n == name))
            .count()
    };
    assert_eq!((of("mount"), of("clone3"), of("socket")), (0, 1, 3));
}
