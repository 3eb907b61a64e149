//! Numbers of system calls by name, and the architectures that a machine runs programs of.

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// One line for each system call; the columns are those of [`Abi::column`].
const TABLE: &str = include_str!("syscalls.txt");

/// Marks a system call of x32 among those of x86-64, with which it shares the audit architecture.
pub(super) const X32_MARK: u32 = 0x4000_0000;

/// Numbers from here on are private to 32-bit ARM and say nothing about how new a kernel is.
pub(super) const ARM_PRIVATE: u32 = 0x000f_0000;

/// A calling convention with its own numbers of system calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Abi {
    X86_64,
    X86,
    X32,
    Aarch64,
    Arm,
}

impl Abi {
    fn column(self) -> usize {
        match self {
            Self::X86_64 => 1,
            Self::X86 => 2,
            Self::X32 => 3,
            Self::Aarch64 => 4,
            Self::Arm => 5,
        }
    }

    /// Returns the name in profiles, which is libseccomp's.
    pub(super) fn profile_name(self) -> &'static str {
        match self {
            Self::X86_64 => "SCMP_ARCH_X86_64",
            Self::X86 => "SCMP_ARCH_X86",
            Self::X32 => "SCMP_ARCH_X32",
            Self::Aarch64 => "SCMP_ARCH_AARCH64",
            Self::Arm => "SCMP_ARCH_ARM",
        }
    }

    /// Returns whether arguments have only 32 bits.
    pub(super) fn is_32_bit(self) -> bool {
        matches!(self, Self::X86 | Self::Arm)
    }

    /// Returns the numbers of all system calls by name, without [`X32_MARK`].
    pub(super) fn numbers(self) -> &'static BTreeMap<&'static str, u32> {
        static NUMBERS: [OnceLock<BTreeMap<&'static str, u32>>; 5] = [const { OnceLock::new() }; 5];
        static EMPTY: BTreeMap<&'static str, u32> = BTreeMap::new();
        NUMBERS
            .get(self.column() - 1)
            .map_or(&EMPTY, |cell| cell.get_or_init(|| read(self.column())))
    }
}

fn read(column: usize) -> BTreeMap<&'static str, u32> {
    TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut words = line.split(' ');
            let name = words.next()?;
            let number = words.nth(column - 1)?.parse().ok()?;
            Some((name, number))
        })
        .collect()
}

/// A family of processors, by what its kernels call it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Machine {
    X86_64,
    Aarch64,
}

impl Machine {
    /// Returns the machine that this program was built for.
    pub(super) fn native() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Aarch64),
            _ => None,
        }
    }

    /// Returns the name in the conditions of Docker's profiles, which is Go's.
    pub(super) fn docker_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// Returns the calling conventions by audit architecture, the native one first.
    pub(super) fn families(self) -> [(u32, &'static [Abi]); 2] {
        match self {
            Self::X86_64 => [
                (0xc000_003e, &[Abi::X86_64, Abi::X32]),
                (0x4000_0003, &[Abi::X86]),
            ],
            Self::Aarch64 => [(0xc000_00b7, &[Abi::Aarch64]), (0x4000_0028, &[Abi::Arm])],
        }
    }

    /// Returns the native calling convention.
    pub(super) fn native_abi(self) -> Abi {
        match self {
            Self::X86_64 => Abi::X86_64,
            Self::Aarch64 => Abi::Aarch64,
        }
    }
}
