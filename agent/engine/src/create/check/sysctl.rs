//! `--sysctl`: kernel parameters, of the container's own namespaces only. Texts are runc's, which is
//! where Docker's users meet them.

use crate::options::HostOptions;

/// A kernel parameter cannot be set for one container.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SysctlError {
    /// It is the machine's.
    #[error("sysctl \"{0}\" is not in a separate kernel namespace")]
    Machine(String),
    /// The container shares the namespace with the machine.
    #[error("sysctl \"{0}\" is not allowed in the hosts ipc namespace")]
    HostIpc(String),
    /// The container shares the namespace with the machine.
    #[error("sysctl \"{0}\" not allowed in host network namespace")]
    HostNetwork(String),
    /// There is an option for it.
    #[error("sysctl \"{0}\" is not allowed as it conflicts with the OCI \"hostname\" field")]
    Hostname(String),
    /// Not a name of a parameter.
    #[error("invalid sysctl \"{0}\"")]
    Name(String),
}

const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

pub(super) fn check(host: &HostOptions) -> Result<(), SysctlError> {
    host.sysctls
        .iter()
        .try_for_each(|(name, value)| check_one(host, name, value))
}

fn check_one(host: &HostOptions, name: &str, value: &str) -> Result<(), SysctlError> {
    let asked = name.to_owned();
    let is_path = name
        .split(['.', '/'])
        .any(|part| part.is_empty() || part == "..");
    if is_path || name.contains('\0') || value.contains('\0') {
        return Err(SysctlError::Name(asked));
    }
    let dotted = normalized(name);
    if IPC.contains(&dotted.as_str()) || dotted.starts_with("fs.mqueue.") {
        return if host.ipc_mode == "host" {
            Err(SysctlError::HostIpc(asked))
        } else {
            Ok(())
        };
    }
    if dotted.starts_with("net.") {
        return if host.network_mode == "host" {
            Err(SysctlError::HostNetwork(asked))
        } else {
            Ok(())
        };
    }
    match dotted.as_str() {
        "kernel.domainname" if host.uts_mode != "host" => Ok(()),
        "kernel.hostname" if host.uts_mode != "host" => Err(SysctlError::Hostname(asked)),
        _ => Err(SysctlError::Machine(asked)),
    }
}

/// Returns the name with dots between its parts. Where a slash comes first, the dots are of names.
pub(crate) fn normalized(name: &str) -> String {
    let is_slashed = name
        .find(['.', '/'])
        .is_some_and(|at| name.as_bytes()[at] == b'/');
    if !is_slashed {
        return name.to_owned();
    }
    name.chars()
        .map(|c| match c {
            '/' => '.',
            '.' => '/',
            c => c,
        })
        .collect()
}
