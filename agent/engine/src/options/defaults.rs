//! What containers get when nobody says otherwise, by the engine's configuration.

use std::str::FromStr;

use oci_spec::OciSpecError;
use oci_spec::runtime::{PosixRlimit, PosixRlimitBuilder, PosixRlimitType, Process};

use crate::options::HostOptions;
use crate::spec::SpecError;

/// The option that keeps a container from gaining rights.
const NO_NEW_PRIVILEGES: &str = "no-new-privileges";

/// What containers get when nobody says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerDefaults {
    /// Limits of processes.
    pub ulimits: Vec<Ulimit>,
    /// Name servers; empty: the machine's.
    pub dns: Vec<String>,
    /// Size of `/dev/shm` in bytes; 0: 64 MiB.
    pub shm_size_bytes: i64,
    /// Runs a small init as process 1.
    pub init: bool,
    /// Forbids to gain rights.
    pub no_new_privileges: bool,
}

/// One limit of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ulimit {
    kind: PosixRlimitType,
    soft: u64,
    hard: u64,
}

/// A text is not a limit.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a limit such as nofile=1024:4096")]
pub struct ParseUlimitError {
    text: String,
}

// === impl ContainerDefaults ===

impl ContainerDefaults {
    /// Fills in what was not asked for.
    pub(crate) fn apply(&self, host: &mut HostOptions) {
        if host.dns.is_empty() {
            host.dns.clone_from(&self.dns);
        }
        if host.shm_size_bytes == 0 {
            host.shm_size_bytes = self.shm_size_bytes;
        }
        if host.init.is_none() && self.init {
            host.init = Some(true);
        }
        let is_said = |option: &String| option.starts_with(NO_NEW_PRIVILEGES);
        if self.no_new_privileges && !host.security_opt.iter().any(is_said) {
            host.security_opt.push(NO_NEW_PRIVILEGES.to_owned());
        }
    }

    /// Limits a process.
    pub(crate) fn limit(&self, process: &mut Process) -> Result<(), SpecError> {
        let limits = self.ulimits.iter().copied().map(Ulimit::to_oci);
        let limits = limits.collect::<Result<Vec<_>, _>>()?;
        if !limits.is_empty() {
            process.set_rlimits(Some(limits));
        }
        Ok(())
    }
}

// === impl Ulimit ===

impl Ulimit {
    fn to_oci(self) -> Result<PosixRlimit, OciSpecError> {
        PosixRlimitBuilder::default()
            .typ(self.kind)
            .soft(self.soft)
            .hard(self.hard)
            .build()
    }
}

impl FromStr for Ulimit {
    type Err = ParseUlimitError;

    /// Reads `name=soft[:hard]`; -1 is no limit.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseUlimitError {
            text: text.to_owned(),
        };
        let (name, values) = text.split_once('=').ok_or_else(wrong)?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let number = |text: &str| match text {
            "-1" => Some(u64::MAX),
            text => text.parse().ok(),
        };
        Ok(Self {
            kind: kind(name).ok_or_else(wrong)?,
            soft: number(soft).ok_or_else(wrong)?,
            hard: number(hard).ok_or_else(wrong)?,
        })
    }
}

fn kind(name: &str) -> Option<PosixRlimitType> {
    Some(match name {
        "core" => PosixRlimitType::RlimitCore,
        "cpu" => PosixRlimitType::RlimitCpu,
        "data" => PosixRlimitType::RlimitData,
        "fsize" => PosixRlimitType::RlimitFsize,
        "locks" => PosixRlimitType::RlimitLocks,
        "memlock" => PosixRlimitType::RlimitMemlock,
        "msgqueue" => PosixRlimitType::RlimitMsgqueue,
        "nice" => PosixRlimitType::RlimitNice,
        "nofile" => PosixRlimitType::RlimitNofile,
        "nproc" => PosixRlimitType::RlimitNproc,
        "rss" => PosixRlimitType::RlimitRss,
        "rtprio" => PosixRlimitType::RlimitRtprio,
        "rttime" => PosixRlimitType::RlimitRttime,
        "sigpending" => PosixRlimitType::RlimitSigpending,
        "stack" => PosixRlimitType::RlimitStack,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_wins() {
        let defaults = ContainerDefaults {
            dns: vec!["10.0.0.53".to_owned()],
            shm_size_bytes: 1 << 20,
            no_new_privileges: true,
            ..ContainerDefaults::default()
        };
        let mut host = HostOptions::default();
        defaults.apply(&mut host);
        assert_eq!(host.dns, ["10.0.0.53"]);
        assert_eq!(host.shm_size(), 1 << 20);
        assert_eq!(host.security_opt, ["no-new-privileges"]);
        let mut host = HostOptions {
            dns: vec!["1.1.1.1".to_owned()],
            shm_size_bytes: 5,
            security_opt: vec!["no-new-privileges=false".to_owned()],
            ..HostOptions::default()
        };
        let asked = host.clone();
        defaults.apply(&mut host);
        assert_eq!(host, asked);
    }

    #[test]
    fn limits_are_read_as_docker_writes_them() {
        let limit: Ulimit = "nofile=1024:-1".parse().unwrap();
        assert_eq!((limit.soft, limit.hard), (1024, u64::MAX));
        let limit: Ulimit = "core=0".parse().unwrap();
        assert_eq!((limit.soft, limit.hard), (0, 0));
        for wrong in ["nofile", "files=1", "nofile=a"] {
            wrong.parse::<Ulimit>().unwrap_err();
        }
    }
}
