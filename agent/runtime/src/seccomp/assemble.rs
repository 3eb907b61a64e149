//! Classic BPF: instructions, a search tree over numbers, and comparisons of arguments.

use super::profile::{Argument, Comparison};

const LOAD_WORD: u16 = 0x20;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_EQUAL: u16 = 0x35;

/// Offsets in the kernel's `struct seccomp_data`.
const NUMBER_OFFSET: u32 = 0;
const ARCHITECTURE_OFFSET: u32 = 4;
const ARGUMENTS_OFFSET: u32 = 16;

/// One instruction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) if_true: u8,
    pub(super) if_false: u8,
    pub(super) value: u32,
}

impl Instruction {
    fn plain(code: u16, value: u32) -> Self {
        Self {
            code,
            if_true: 0,
            if_false: 0,
            value,
        }
    }

    pub(super) fn load_architecture() -> Self {
        Self::plain(LOAD_WORD, ARCHITECTURE_OFFSET)
    }

    pub(super) fn load_number() -> Self {
        Self::plain(LOAD_WORD, NUMBER_OFFSET)
    }

    pub(super) fn verdict(value: u32) -> Self {
        Self::plain(RETURN, value)
    }

    /// Goes on with the next instruction if the loaded word is `value`, and skips one otherwise.
    pub(super) fn unless_equal_skip_one(value: u32) -> Self {
        Self {
            code: JUMP_EQUAL,
            if_true: 0,
            if_false: 1,
            value,
        }
    }

    pub(super) fn skip(count: usize) -> Self {
        Self::plain(JUMP, u32::try_from(count).unwrap_or(u32::MAX))
    }

    pub(super) fn bytes(self) -> [u8; 8] {
        let [c0, c1] = self.code.to_ne_bytes();
        let [k0, k1, k2, k3] = self.value.to_ne_bytes();
        [c0, c1, self.if_true, self.if_false, k0, k1, k2, k3]
    }
}

/// What happens to a system call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decision {
    /// Verdicts under conditions, of which the first that holds counts.
    pub(super) conditional: Vec<(Vec<Test>, u32)>,
    /// The verdict otherwise.
    pub(super) otherwise: u32,
}

/// A comparison of one argument, in the form that is compiled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Test {
    index: u32,
    comparison: Comparison,
    value: u64,
    mask: u64,
    low_only: bool,
}

impl Test {
    pub(super) fn new(argument: &Argument, is_32_bit: bool) -> Self {
        // Docker's MASKED_EQ has the mask first and the value second.
        let (mask, value) = match argument.op {
            Comparison::MaskedEqual => (argument.value, argument.value_two),
            _ => (u64::MAX, argument.value),
        };
        let low_only = is_32_bit || argument.bits == Some(32);
        Self {
            index: argument.index,
            comparison: argument.op,
            value,
            mask,
            low_only,
        }
    }
}

/// A range of numbers of system calls with the same decision; it ends where the next begins.
#[derive(Clone, Debug)]
pub(super) struct Range {
    pub(super) start: u32,
    pub(super) decision: Decision,
}

/// Returns instructions that decide on the loaded number; `ranges` is sorted and begins at 0.
pub(super) fn search(ranges: &[Range]) -> Vec<Instruction> {
    let (left, right) = ranges.split_at(ranges.len() / 2);
    let Some(middle) = right.first() else {
        return Vec::new();
    };
    if left.is_empty() {
        return decide(&middle.decision);
    }
    let (left, right) = (search(left), search(right));
    let compare = |if_true, if_false| Instruction {
        code: JUMP_GREATER_EQUAL,
        if_true,
        if_false,
        value: middle.start,
    };
    // Conditional jumps reach 255 instructions; beyond that an unconditional one does the way.
    let mut code = match u8::try_from(left.len()) {
        Ok(distance) => vec![compare(distance, 0)],
        Err(_) => vec![compare(0, 1), Instruction::skip(left.len())],
    };
    code.extend(left);
    code.extend(right);
    code
}

fn decide(decision: &Decision) -> Vec<Instruction> {
    let mut code = Vec::new();
    for (tests, verdict) in &decision.conditional {
        let mut alternative = vec![Instruction::verdict(*verdict)];
        for test in tests.iter().rev() {
            let mut block = resolve(&compare(*test), alternative.len());
            block.append(&mut alternative);
            alternative = block;
        }
        code.append(&mut alternative);
    }
    code.push(Instruction::verdict(decision.otherwise));
    code
}

/// Where a comparison goes on.
#[derive(Clone, Copy)]
enum Target {
    Next,
    Holds,
    Fails,
}

type Step = (u16, u32, Target, Target);

fn load(offset: u32) -> Step {
    (LOAD_WORD, offset, Target::Next, Target::Next)
}

/// Returns the steps that compare one argument, upper half first.
fn compare(test: Test) -> Vec<Step> {
    let low_offset = ARGUMENTS_OFFSET + 8 * test.index;
    let halves = |n: u64| ((n >> 32) as u32, (n & 0xffff_ffff) as u32);
    let ((value_high, value_low), (mask_high, mask_low)) = (halves(test.value), halves(test.mask));
    let (holds, fails) = (Target::Holds, Target::Fails);
    let mut steps = Vec::new();
    if !test.low_only {
        match test.comparison {
            Comparison::MaskedEqual if mask_high == 0 && value_high == 0 => {}
            Comparison::Equal | Comparison::MaskedEqual => {
                steps.push(load(low_offset + 4));
                if mask_high != u32::MAX {
                    steps.push((AND, mask_high, Target::Next, Target::Next));
                }
                steps.push((JUMP_EQUAL, value_high, Target::Next, fails));
            }
            Comparison::NotEqual => {
                steps.extend([
                    load(low_offset + 4),
                    (JUMP_EQUAL, value_high, Target::Next, holds),
                ]);
            }
            Comparison::GreaterOrEqual | Comparison::Greater => steps.extend([
                load(low_offset + 4),
                (JUMP_GREATER, value_high, holds, Target::Next),
                (JUMP_EQUAL, value_high, Target::Next, fails),
            ]),
            Comparison::Less | Comparison::LessOrEqual => steps.extend([
                load(low_offset + 4),
                (JUMP_GREATER, value_high, fails, Target::Next),
                (JUMP_EQUAL, value_high, Target::Next, holds),
            ]),
        }
    }
    steps.push(load(low_offset));
    if mask_low != u32::MAX {
        steps.push((AND, mask_low, Target::Next, Target::Next));
    }
    steps.push(match test.comparison {
        Comparison::Equal | Comparison::MaskedEqual => (JUMP_EQUAL, value_low, holds, fails),
        Comparison::NotEqual => (JUMP_EQUAL, value_low, fails, holds),
        Comparison::GreaterOrEqual => (JUMP_GREATER_EQUAL, value_low, holds, fails),
        Comparison::Greater => (JUMP_GREATER, value_low, holds, fails),
        Comparison::Less => (JUMP_GREATER_EQUAL, value_low, fails, holds),
        Comparison::LessOrEqual => (JUMP_GREATER, value_low, fails, holds),
    });
    steps
}

/// Turns targets into distances: `Holds` is the end of the steps, `Fails` lies `rest` instructions further.
fn resolve(steps: &[Step], rest: usize) -> Vec<Instruction> {
    let distance = |at: usize, target: Target| {
        let to_end = steps.len() - at - 1;
        let distance = match target {
            Target::Next => 0,
            Target::Holds => to_end,
            Target::Fails => to_end + rest,
        };
        // A rule has at most six arguments of at most five steps, far from 255.
        u8::try_from(distance).unwrap_or(u8::MAX)
    };
    steps
        .iter()
        .enumerate()
        .map(|(at, &(code, value, if_true, if_false))| Instruction {
            code,
            if_true: distance(at, if_true),
            if_false: distance(at, if_false),
            value,
        })
        .collect()
}
