//! Checks of modes of namespaces and of what does not belong anywhere else.

use super::InvalidOption;
use crate::options::HostOptions;
use crate::options::mode::neighbour;

pub(super) fn check(host: &HostOptions) -> Result<(), InvalidOption> {
    modes(host)?;
    if host.shm_size_bytes < 0 {
        return Err(InvalidOption::SharedMemory);
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return Err(InvalidOption::OomScore(host.oom_score_adj));
    }
    if !matches!(host.isolation.as_str(), "" | "default") {
        return Err(InvalidOption::Isolation(host.isolation.clone()));
    }
    if !host.storage_opt.is_empty() {
        return Err(InvalidOption::StorageOption);
    }
    if host.annotations.contains_key("") {
        return Err(InvalidOption::Annotation);
    }
    let has_nul = |paths: &Option<Vec<String>>| paths.iter().flatten().any(|p| p.contains('\0'));
    if has_nul(&host.masked_paths) || has_nul(&host.readonly_paths) {
        return Err(InvalidOption::Nul("path"));
    }
    if host.resources.cgroup_parent.contains('\0') {
        return Err(InvalidOption::Nul("cgroup parent"));
    }
    Ok(())
}

fn modes(host: &HostOptions) -> Result<(), InvalidOption> {
    let is_neighbour = |mode: &str| neighbour(mode).is_some_and(|name| !name.is_empty());
    let ipc = host.ipc_mode.as_str();
    let is_ipc = matches!(ipc, "" | "none" | "private" | "shareable" | "host") || is_neighbour(ipc);
    let pid = host.pid_mode.as_str();
    let checks = [
        ("IPC", is_ipc, ipc),
        ("PID", matches!(pid, "" | "host") || is_neighbour(pid), pid),
        (
            "UTS",
            matches!(host.uts_mode.as_str(), "" | "host"),
            &host.uts_mode,
        ),
        (
            "cgroup namespace",
            matches!(host.cgroupns_mode.as_str(), "" | "private" | "host"),
            &host.cgroupns_mode,
        ),
        (
            "USER",
            matches!(host.userns_mode.as_str(), "" | "host"),
            &host.userns_mode,
        ),
    ];
    match checks.iter().find(|(_, is_valid, _)| !is_valid) {
        Some((namespace, _, mode)) => Err(InvalidOption::Mode {
            namespace,
            mode: (*mode).to_owned(),
        }),
        None => Ok(()),
    }
}
