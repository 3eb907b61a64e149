//! What containers get when nobody says otherwise, by the engine's configuration.

use std::str::FromStr;

use oci_spec::runtime::Process;

use crate::create::check::ulimit::{self, UlimitError};
use crate::options::mode::neighbour;
use crate::options::{HostOptions, UlimitOption};
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

/// One limit of a process, of those that the kernel knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ulimit(UlimitOption);

/// A text is not a limit such as `nofile=1024:4096`.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ParseUlimitError(#[from] UlimitError);

// === impl ContainerDefaults ===

impl ContainerDefaults {
    /// Fills in what was not asked for.
    pub(crate) fn apply(&self, host: &mut HostOptions) {
        // Who shares another container's network shares its resolver.
        if host.dns.is_empty() && neighbour(&host.network_mode).is_none() {
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

    /// Limits a process: by what was asked for, and by the defaults where nothing was.
    pub(crate) fn limit(
        &self,
        process: &mut Process,
        asked: &[UlimitOption],
    ) -> Result<(), SpecError> {
        let own = |limit: &UlimitOption| !asked.iter().any(|other| other.name == limit.name);
        let defaults = self.ulimits.iter().map(|Ulimit(limit)| limit);
        let mut limits = Vec::new();
        for limit in defaults.filter(|limit| own(limit)).chain(asked) {
            limits.extend(ulimit::to_oci(limit)?);
        }
        if !limits.is_empty() {
            process.set_rlimits(Some(limits));
        }
        Ok(())
    }
}

// === impl Ulimit ===

impl FromStr for Ulimit {
    type Err = ParseUlimitError;

    /// Reads `name=soft[:hard]`; -1 is no limit.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(ulimit::parse(text)?))
    }
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
    fn what_is_asked_for_replaces_the_default_of_that_name_only() {
        let defaults = ContainerDefaults {
            ulimits: vec!["nofile=1:2".parse().unwrap(), "core=0".parse().unwrap()],
            ..ContainerDefaults::default()
        };
        let mut process = Process::default();
        let asked = [UlimitOption {
            name: "nofile".to_owned(),
            soft: 5,
            hard: -1,
        }];
        defaults.limit(&mut process, &asked).unwrap();
        let limits: Vec<(u64, u64)> = process
            .rlimits()
            .iter()
            .flatten()
            .map(|limit| (limit.soft(), limit.hard()))
            .collect();
        assert_eq!(limits, [(0, 0), (5, u64::MAX)]);
        "files=1".parse::<Ulimit>().unwrap_err();
    }
}
