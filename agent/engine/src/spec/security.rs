//! `--security-opt`, `--privileged` and capabilities: what a process is allowed.

use std::sync::Arc;

use berth_agent_runtime::capabilities::{self, UnknownCapability};
use berth_agent_runtime::seccomp::{self, SeccompError};
use oci_spec::runtime::Capabilities;

use crate::options::HostOptions;

/// What a container's processes are allowed.
#[derive(Clone, Debug)]
pub(crate) struct SecurityOptions {
    pub(crate) capabilities: Capabilities,
    pub(crate) no_new_privileges: bool,
    /// The filter, ready to be installed.
    pub(crate) seccomp: Option<Arc<[u8]>>,
}

/// A security option is wrong.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// An option that does not exist.
    #[error("invalid --security-opt 1: \"{0}\"")]
    Option(String),
    /// A capability that does not exist.
    #[error("invalid capability: \"{}\"", .0.name)]
    Capability(#[source] UnknownCapability),
    /// The profile cannot be used.
    #[error("invalid seccomp profile")]
    Seccomp(#[source] SeccompError),
}

impl SecurityOptions {
    /// Reads the options; the filter is compiled at most once for each combination.
    pub(crate) fn new(host: &HostOptions) -> Result<Self, SecurityError> {
        let capabilities = super::capabilities(host).map_err(SecurityError::Capability)?;
        let mut no_new_privileges = false;
        let mut profile = Some(seccomp::DEFAULT_PROFILE);
        for option in &host.security_opt {
            match option.split_once(['=', ':']).unwrap_or((option, "")) {
                ("no-new-privileges", "" | "true") => no_new_privileges = true,
                ("no-new-privileges", "false") => no_new_privileges = false,
                ("seccomp", "unconfined") => profile = None,
                ("seccomp", "builtin") => profile = Some(seccomp::DEFAULT_PROFILE),
                ("seccomp", json) if !json.is_empty() => profile = Some(json),
                // Neither AppArmor nor SELinux labels are set, so that there is nothing to turn off.
                ("apparmor", "unconfined") | ("label", "disable") => {}
                _ => return Err(SecurityError::Option(option.clone())),
            }
        }
        if host.privileged {
            profile = None;
        }
        let seccomp = profile
            .map(|profile| seccomp::compile(profile, &capabilities::names(&capabilities)))
            .transpose()
            .map_err(SecurityError::Seccomp)?;
        Ok(Self {
            capabilities,
            no_new_privileges,
            seccomp,
        })
    }
}
