//! The device filter of version 2: an eBPF program made from the rules that version 1 takes as text.
//!
//! The kernel runs it at every open and mknod of a device with the kind, the access and the numbers of the device. The
//! last rule that speaks of a device decides, so the program looks at the rules from the last to the first.

use std::fs::File;
use std::path::Path;

use berth_agent_sys::device_filter;
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use super::CgroupError;

const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;
const MKNOD: i32 = 1;
const READ: i32 = 2;
const WRITE: i32 = 4;

/// Attaches a filter for these rules to a group.
pub(super) fn restrict(directory: &Path, rules: &[LinuxDeviceCgroup]) -> Result<(), CgroupError> {
    let group = File::open(directory).map_err(|e| CgroupError::new("opening", directory, e))?;
    let attached = device_filter::attach(&group, &program(rules));
    attached.map_err(|e| CgroupError::new("attaching a device filter to", directory, e))
}

/// Operations of eBPF that the program needs.
#[derive(Clone, Copy)]
enum Operation {
    /// Loads a word of the context (register 1).
    Load,
    And,
    ShiftRight,
    Copy,
    Set,
    /// Jump if not equal to a constant.
    JumpUnless,
    /// Jump if not equal to a register.
    JumpUnlessSame,
    Exit,
}

/// Encodes one instruction: operation, two registers, a distance or offset, and a constant.
fn encode(operation: Operation, to: u8, from: u8, offset: i16, constant: i32) -> u64 {
    let code: u8 = match operation {
        Operation::Load => 0x61,
        Operation::And => 0x54,
        Operation::ShiftRight => 0x74,
        Operation::Copy => 0xbc,
        Operation::Set => 0xb4,
        Operation::JumpUnless => 0x55,
        Operation::JumpUnlessSame => 0x5d,
        Operation::Exit => 0x95,
    };
    let [o0, o1] = offset.to_le_bytes();
    let [c0, c1, c2, c3] = constant.to_le_bytes();
    u64::from_ne_bytes([code, to | from << 4, o0, o1, c0, c1, c2, c3])
}

fn program(rules: &[LinuxDeviceCgroup]) -> Vec<u64> {
    use Operation::{And, Copy, Exit, Load, Set, ShiftRight};
    // Registers: 2 kind, 3 access, 4 major, 5 minor.
    let mut code = vec![
        encode(Load, 2, 1, 0, 0),
        encode(And, 2, 0, 0, 0xffff),
        encode(Load, 3, 1, 0, 0),
        encode(ShiftRight, 3, 0, 0, 16),
        encode(Load, 4, 1, 4, 0),
        encode(Load, 5, 1, 8, 0),
    ];
    for rule in rules.iter().rev() {
        let (tests, is_certain) = conditions(rule);
        // Each failing test skips the rest of the tests and the two instructions of the verdict.
        for (at, test) in tests.iter().enumerate() {
            let rest = i16::try_from(tests.len() - at - 1 + 2).unwrap_or(i16::MAX);
            code.push(match test {
                Test::CopyAccess => encode(Copy, 1, 3, 0, 0),
                Test::Mask(access) => encode(And, 1, 0, 0, *access),
                Test::SameAccess => encode(Operation::JumpUnlessSame, 1, 3, rest, 0),
                Test::Equal(register, value) => {
                    encode(Operation::JumpUnless, *register, 0, rest, *value)
                }
            });
        }
        code.push(encode(Set, 0, 0, 0, i32::from(rule.allow())));
        code.push(encode(Exit, 0, 0, 0, 0));
        if is_certain {
            // Instructions that cannot be reached are an error to the kernel.
            return code;
        }
    }
    code.push(encode(Set, 0, 0, 0, 0));
    code.push(encode(Exit, 0, 0, 0, 0));
    code
}

enum Test {
    /// Copies the access to a scratch register (the context's, which is not needed any more).
    CopyAccess,
    Mask(i32),
    SameAccess,
    Equal(u8, i32),
}

/// Returns the tests of a rule, and whether it speaks of every device.
fn conditions(rule: &LinuxDeviceCgroup) -> (Vec<Test>, bool) {
    let mut tests = Vec::new();
    match rule.typ().unwrap_or_default() {
        LinuxDeviceType::B => tests.push(Test::Equal(2, BLOCK)),
        LinuxDeviceType::C | LinuxDeviceType::U => tests.push(Test::Equal(2, CHARACTER)),
        LinuxDeviceType::A | LinuxDeviceType::P => {}
    }
    let access = rule
        .access()
        .as_deref()
        .filter(|access| !access.is_empty())
        .unwrap_or("rwm");
    let bits = access.chars().fold(0, |bits, letter| {
        bits | match letter {
            'r' => READ,
            'w' => WRITE,
            'm' => MKNOD,
            _ => 0,
        }
    });
    if bits != READ | WRITE | MKNOD {
        // The rule speaks of an access if it names all of it.
        tests.extend([Test::CopyAccess, Test::Mask(bits), Test::SameAccess]);
    }
    for (register, number) in [(4, rule.major()), (5, rule.minor())] {
        if let Some(number) = number
            .and_then(|n| i32::try_from(n).ok())
            .filter(|n| *n >= 0)
        {
            tests.push(Test::Equal(register, number));
        }
    }
    let is_certain = tests.is_empty();
    (tests, is_certain)
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::LinuxDeviceCgroupBuilder;

    use super::*;

    fn rule(
        allow: bool,
        kind: LinuxDeviceType,
        major: i64,
        minor: i64,
        access: &str,
    ) -> LinuxDeviceCgroup {
        LinuxDeviceCgroupBuilder::default()
            .allow(allow)
            .typ(kind)
            .major(major)
            .minor(minor)
            .access(access.to_owned())
            .build()
            .unwrap()
    }

    /// Runs a program on one access.
    fn run(code: &[u64], kind: i32, access: i32, major: i32, minor: i32) -> bool {
        let mut registers = [0_i64; 6];
        let context = [(access << 16) | kind, major, minor];
        let mut at = 0;
        loop {
            let [operation, pair, o0, o1, constant @ ..] = code[at].to_ne_bytes();
            let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
            let offset = isize::from(i16::from_le_bytes([o0, o1]));
            let constant = i64::from(i32::from_le_bytes(constant));
            let mut jump =
                |holds: bool| at = at.wrapping_add_signed(if holds { offset } else { 0 });
            match operation {
                0x61 => registers[to] = i64::from(context[offset as usize / 4]),
                0x54 => registers[to] &= constant,
                0x74 => registers[to] >>= constant,
                0xbc => registers[to] = registers[from],
                0xb4 => registers[to] = constant,
                0x55 => jump(registers[to] != constant),
                0x5d => jump(registers[to] != registers[from]),
                0x95 => return registers[0] == 1,
                other => panic!("unexpected operation {other:#x}"),
            }
            at += 1;
        }
    }

    fn docker_like() -> Vec<LinuxDeviceCgroup> {
        vec![
            rule(false, LinuxDeviceType::A, -1, -1, "rwm"),
            rule(true, LinuxDeviceType::C, -1, -1, "m"),
            rule(true, LinuxDeviceType::C, 1, 3, "rwm"),
            rule(true, LinuxDeviceType::C, 136, -1, "rw"),
        ]
    }

    #[test]
    fn the_last_rule_that_speaks_of_a_device_decides() {
        let code = program(&docker_like());
        assert!(run(&code, CHARACTER, READ | WRITE, 1, 3));
        assert!(run(&code, CHARACTER, MKNOD, 10, 200));
        assert!(!run(&code, CHARACTER, MKNOD | READ, 10, 200));
        assert!(!run(&code, BLOCK, READ, 8, 0));
        assert!(run(&code, CHARACTER, WRITE, 136, 5));
        assert!(!run(&code, BLOCK, READ, 1, 3));
    }

    #[test]
    fn the_kernel_takes_the_program_and_obeys_it() {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let Some(root) = mounts
            .lines()
            .find(|l| l.split(' ').nth(2) == Some("cgroup2"))
        else {
            panic!("this test needs a mount of cgroup2");
        };
        let group = Path::new(root.split(' ').nth(1).unwrap())
            .join(format!("berth-devices-{}", std::process::id()));
        std::fs::create_dir(&group).unwrap();
        restrict(&group, &docker_like()).unwrap();
        let script = format!(
            "echo $$ > {}/cgroup.procs; : < /dev/null && echo null; : < /dev/full && echo full",
            group.display()
        );
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        let removed = std::fs::remove_dir(&group);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "null\n");
        removed.unwrap();
    }
}
