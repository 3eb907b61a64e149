//! Which namespaces a container has for itself, and which it shares with the machine or another.

use std::path::PathBuf;

use oci_spec::OciSpecError;
use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType};

use super::{NetworkNamespace, SpecInput};
use crate::options::mode::neighbour;

/// First processes of the containers whose namespaces are joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Neighbours {
    pub(crate) ipc: Option<i32>,
    pub(crate) pid: Option<i32>,
}

/// Returns the namespaces; the machine's own are left out.
pub(super) fn namespaces(input: &SpecInput<'_>) -> Result<Vec<LinuxNamespace>, OciSpecError> {
    let host = input.host;
    let mut namespaces = vec![build(LinuxNamespaceType::Mount, None)?];
    if host.uts_mode != "host" {
        namespaces.push(build(LinuxNamespaceType::Uts, None)?);
    }
    let shared = [
        (
            LinuxNamespaceType::Ipc,
            "ipc",
            &host.ipc_mode,
            input.neighbours.ipc,
        ),
        (
            LinuxNamespaceType::Pid,
            "pid",
            &host.pid_mode,
            input.neighbours.pid,
        ),
    ];
    for (kind, file, mode, other) in shared {
        let path = neighbour(mode).and(other).map(|pid| of_process(pid, file));
        if mode != "host" {
            namespaces.push(build(kind, path)?);
        }
    }
    match &input.network {
        NetworkNamespace::Path(path) => {
            namespaces.push(build(LinuxNamespaceType::Network, Some(path.clone()))?);
        }
        NetworkNamespace::Neighbour(pid) => {
            let path = of_process(*pid, "net");
            namespaces.push(build(LinuxNamespaceType::Network, Some(path))?);
        }
        NetworkNamespace::Host => {}
    }
    if has_cgroup_namespace(input) {
        namespaces.push(build(LinuxNamespaceType::Cgroup, None)?);
    }
    Ok(namespaces)
}

/// As Docker: private where the hierarchy is unified, the machine's where it is not.
fn has_cgroup_namespace(input: &SpecInput<'_>) -> bool {
    match input.host.cgroupns_mode.as_str() {
        "private" => input.has_cgroup_namespaces,
        "host" => false,
        _ => input.unified_cgroups && input.has_cgroup_namespaces,
    }
}

fn of_process(pid: i32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/{file}"))
}

fn build(kind: LinuxNamespaceType, path: Option<PathBuf>) -> Result<LinuxNamespace, OciSpecError> {
    let namespace = LinuxNamespaceBuilder::default().typ(kind);
    match path {
        Some(path) => namespace.path(path).build(),
        None => namespace.build(),
    }
}
