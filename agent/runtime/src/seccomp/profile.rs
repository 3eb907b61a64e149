//! Docker's profile format, and the choice of the rules that apply to one container on one machine.

use std::collections::BTreeSet;

use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompBuilder,
    LinuxSyscallBuilder,
};
use serde::Deserialize;

use super::SeccompError;
use super::kernel::KernelVersion;
use super::table::Machine;

/// A profile, as written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Profile {
    pub(super) default_action: String,
    pub(super) default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(default)]
    arch_map: Option<Vec<ArchitectureEntry>>,
    #[serde(default)]
    pub(super) syscalls: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchitectureEntry {
    architecture: String,
    #[serde(default)]
    sub_architectures: Option<Vec<String>>,
}

/// What happens to some system calls, under conditions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    #[serde(default)]
    names: Vec<String>,
    /// Form of old profiles: one name.
    #[serde(default)]
    name: Option<String>,
    pub(super) action: String,
    pub(super) errno_ret: Option<u32>,
    #[serde(default)]
    pub(super) args: Option<Vec<Argument>>,
    #[serde(default)]
    includes: Option<Conditions>,
    #[serde(default)]
    excludes: Option<Conditions>,
}

/// A condition on an argument of a system call.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Argument {
    pub(super) index: u32,
    pub(super) value: u64,
    #[serde(default)]
    pub(super) value_two: u64,
    pub(super) op: Comparison,
    /// Own addition: 32 where the kernel looks at the lower half only, so that bits above it cannot evade the rule.
    #[serde(default)]
    pub(super) bits: Option<u32>,
}

/// How an argument is compared with the rule's value.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub(super) enum Comparison {
    #[serde(rename = "SCMP_CMP_NE")]
    NotEqual,
    #[serde(rename = "SCMP_CMP_LT")]
    Less,
    #[serde(rename = "SCMP_CMP_LE")]
    LessOrEqual,
    #[serde(rename = "SCMP_CMP_EQ")]
    Equal,
    #[serde(rename = "SCMP_CMP_GE")]
    GreaterOrEqual,
    #[serde(rename = "SCMP_CMP_GT")]
    Greater,
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEqual,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Conditions {
    #[serde(default)]
    arches: Option<Vec<String>>,
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    min_kernel: Option<String>,
}

impl Rule {
    /// Returns the names of the system calls that the rule is about.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names
            .iter()
            .map(String::as_str)
            .chain(self.name.as_deref())
    }

    /// Returns the rule's alternatives, each a list of conditions that must all hold; a rule without conditions has
    /// one empty alternative.
    ///
    /// Several conditions on the same argument are alternatives, as in Docker.
    pub(super) fn alternatives(&self) -> Vec<Vec<Argument>> {
        let arguments = self.args.as_deref().unwrap_or_default();
        let distinct: BTreeSet<u32> = arguments.iter().map(|a| a.index).collect();
        if distinct.len() == arguments.len() {
            vec![arguments.to_vec()]
        } else {
            arguments
                .iter()
                .map(|argument| vec![argument.clone()])
                .collect()
        }
    }

    fn applies(
        &self,
        machine: Machine,
        capabilities: &BTreeSet<String>,
        kernel: KernelVersion,
    ) -> Result<bool, SeccompError> {
        let of_machine = |c: &Conditions| {
            c.arches
                .as_ref()
                .map(|a| a.iter().any(|n| n == machine.docker_name()))
        };
        let recent = |c: &Conditions| match &c.min_kernel {
            None => Ok(None),
            Some(text) => KernelVersion::parse(text)
                .map(|least| Some(kernel >= least))
                .ok_or_else(|| SeccompError::Unsupported {
                    what: format!("kernel version {text}"),
                }),
        };
        if let Some(includes) = &self.includes {
            let privileged = includes
                .caps
                .as_ref()
                .is_none_or(|caps| caps.iter().all(|c| capabilities.contains(c)));
            if of_machine(includes) == Some(false)
                || !privileged
                || recent(includes)? == Some(false)
            {
                return Ok(false);
            }
        }
        if let Some(excludes) = &self.excludes {
            let privileged = excludes
                .caps
                .as_ref()
                .is_some_and(|caps| caps.iter().any(|c| capabilities.contains(c)));
            if of_machine(excludes) == Some(true) || privileged || recent(excludes)? == Some(true) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Profile {
    pub(super) fn parse(text: &str) -> Result<Self, SeccompError> {
        serde_json::from_str(text).map_err(|source| SeccompError::Parse { source })
    }

    /// Returns the rules that apply to a container with these capabilities.
    pub(super) fn applicable(
        &self,
        machine: Machine,
        capabilities: &BTreeSet<String>,
        kernel: KernelVersion,
    ) -> Result<Vec<&Rule>, SeccompError> {
        let mut rules = Vec::new();
        for rule in &self.syscalls {
            if rule.applies(machine, capabilities, kernel)? {
                rules.push(rule);
            }
        }
        Ok(rules)
    }

    /// Returns libseccomp's names of the calling conventions that the profile covers.
    pub(super) fn architectures(&self, machine: Machine) -> Vec<&str> {
        let native = machine.native_abi().profile_name();
        let mut names = vec![native];
        if let Some(entry) = self
            .arch_map
            .iter()
            .flatten()
            .find(|entry| entry.architecture == native)
        {
            names.extend(entry.sub_architectures.iter().flatten().map(String::as_str));
        }
        names.extend(self.architectures.iter().flatten().map(String::as_str));
        names
    }

    pub(super) fn to_oci(
        &self,
        machine: Machine,
        capabilities: &BTreeSet<String>,
        kernel: KernelVersion,
    ) -> Result<LinuxSeccomp, SeccompError> {
        let wrong = |e: oci_spec::OciSpecError| SeccompError::Unsupported {
            what: e.to_string(),
        };
        let mut syscalls = Vec::new();
        for rule in self.applicable(machine, capabilities, kernel)? {
            for alternative in rule.alternatives() {
                let mut builder = LinuxSyscallBuilder::default()
                    .names(rule.names().map(str::to_owned).collect::<Vec<_>>())
                    .action(oci_word::<LinuxSeccompAction>(&rule.action)?);
                if let Some(errno) = rule.errno_ret {
                    builder = builder.errno_ret(errno);
                }
                if !alternative.is_empty() {
                    let args: Result<Vec<LinuxSeccompArg>, _> =
                        alternative.iter().map(oci_argument).collect();
                    builder = builder.args(args?);
                }
                syscalls.push(builder.build().map_err(wrong)?);
            }
        }
        let architectures: Result<Vec<_>, _> = self
            .architectures(machine)
            .into_iter()
            .map(oci_word)
            .collect();
        let mut builder = LinuxSeccompBuilder::default()
            .default_action(oci_word::<LinuxSeccompAction>(&self.default_action)?)
            .architectures(architectures?)
            .syscalls(syscalls);
        if let Some(errno) = self.default_errno_ret {
            builder = builder.default_errno_ret(errno);
        }
        builder.build().map_err(wrong)
    }
}

fn oci_word<T: for<'de> Deserialize<'de>>(word: &str) -> Result<T, SeccompError> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).map_err(|_source| {
        SeccompError::Unsupported {
            what: format!("unknown word {word}"),
        }
    })
}

fn oci_argument(argument: &Argument) -> Result<LinuxSeccompArg, SeccompError> {
    let operator = match argument.op {
        Comparison::NotEqual => "SCMP_CMP_NE",
        Comparison::Less => "SCMP_CMP_LT",
        Comparison::LessOrEqual => "SCMP_CMP_LE",
        Comparison::Equal => "SCMP_CMP_EQ",
        Comparison::GreaterOrEqual => "SCMP_CMP_GE",
        Comparison::Greater => "SCMP_CMP_GT",
        Comparison::MaskedEqual => "SCMP_CMP_MASKED_EQ",
    };
    LinuxSeccompArgBuilder::default()
        .index(usize::try_from(argument.index).unwrap_or(usize::MAX))
        .value(argument.value)
        .value_two(argument.value_two)
        .op(oci_word::<oci_spec::runtime::LinuxSeccompOperator>(
            operator,
        )?)
        .build()
        .map_err(|e| SeccompError::Unsupported {
            what: e.to_string(),
        })
}
