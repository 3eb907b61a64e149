//! Control groups of version 1: one hierarchy for each controller or few.

mod devices;
mod settings;

use std::fs;
use std::io;
use std::path::Path;

use oci_spec::runtime::LinuxResources;

use super::layout::{Hierarchy, Layout};
use super::{CgroupError, order, write, write_all};

/// Makes the directory of a group, and those on the way to it.
pub(super) fn create(hierarchy: &Hierarchy, path: &Path) -> Result<(), CgroupError> {
    let is_cpuset = hierarchy.controllers.iter().any(|c| c == "cpuset");
    let mut directory = hierarchy.mount.clone();
    for part in path {
        let parent = directory.clone();
        directory.push(part);
        match fs::create_dir(&directory) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(CgroupError::new("making", &directory, source)),
        }
        if is_cpuset {
            // A new group of this controller takes no process until it has processors and memory.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                inherit(&parent.join(file), &directory.join(file))?;
            }
        }
    }
    Ok(())
}

fn inherit(from: &Path, to: &Path) -> Result<(), CgroupError> {
    let read =
        |path: &Path| fs::read_to_string(path).map_err(|e| CgroupError::new("reading", path, e));
    if read(to)?.trim().is_empty() {
        write(to, read(from)?.trim())?;
    }
    Ok(())
}

/// Applies all limits that are asked for.
pub(super) fn apply(
    layout: &Layout,
    path: &Path,
    resources: &LinuxResources,
    warnings: &mut Vec<String>,
) -> Result<(), CgroupError> {
    let rules = resources.devices().as_deref().unwrap_or_default();
    devices::restrict(layout, path, rules)?;
    if resources.unified().as_ref().is_some_and(|u| !u.is_empty()) {
        warnings.push("settings of cgroup version 2 have no effect: this is version 1".to_owned());
    }
    apply_memory(layout, path, resources, warnings)?;
    apply_periods(layout, path, resources, warnings)?;
    let mut settings = Vec::new();
    for (controller, setting) in settings::of(resources) {
        match layout.hierarchy(controller) {
            Some(hierarchy) => {
                settings.push(setting.below(&hierarchy.mount.join(path)));
            }
            None => warnings.push(lacks(&setting.what, controller)),
        }
    }
    write_all(settings, warnings)
}

fn lacks(what: &str, controller: &str) -> String {
    format!("{what} has no effect: no cgroup controller {controller}")
}

fn apply_memory(
    layout: &Layout,
    path: &Path,
    resources: &LinuxResources,
    warnings: &mut Vec<String>,
) -> Result<(), CgroupError> {
    let asked = |value: Option<i64>| value.filter(|n| *n != 0);
    let Some(memory) = resources.memory() else {
        return Ok(());
    };
    let (limit, both) = (asked(memory.limit()), asked(memory.swap()));
    if limit.is_none() && both.is_none() {
        return Ok(());
    }
    match layout.hierarchy("memory") {
        Some(hierarchy) => order::memory_v1(&hierarchy.mount.join(path), limit, both, warnings),
        None => {
            warnings.push(lacks("the memory limit", "memory"));
            Ok(())
        }
    }
}

/// Sets periods of processor time and the shares of them.
fn apply_periods(
    layout: &Layout,
    path: &Path,
    resources: &LinuxResources,
    warnings: &mut Vec<String>,
) -> Result<(), CgroupError> {
    let Some(cpu) = resources.cpu() else {
        return Ok(());
    };
    let period = |value: Option<u64>| value.filter(|n| *n != 0);
    let share = |value: Option<i64>| value.filter(|n| *n != 0);
    let pairs = [
        (
            ("cpu.cfs_period_us", period(cpu.period())),
            ("cpu.cfs_quota_us", share(cpu.quota())),
            "the processor quota",
        ),
        (
            ("cpu.rt_period_us", period(cpu.realtime_period())),
            ("cpu.rt_runtime_us", share(cpu.realtime_runtime())),
            "the real-time share",
        ),
    ];
    for (period, share, what) in pairs {
        match layout.hierarchy("cpu") {
            _ if period.1.is_none() && share.1.is_none() => {}
            Some(hierarchy) => {
                let directory = hierarchy.mount.join(path);
                order::period_and_share(&directory, period, share, what, warnings)?;
            }
            None => warnings.push(lacks(what, "cpu")),
        }
    }
    Ok(())
}

/// Freezes or thaws a group of the freezer.
pub(super) fn freeze(directory: &Path, frozen: bool) -> Result<(), CgroupError> {
    let path = directory.join("freezer.state");
    let wanted = if frozen { "FROZEN" } else { "THAWED" };
    // Freezing takes notice of processes one after the other; the file says FREEZING until it has all of them.
    for _ in 0..1000 {
        write(&path, wanted)?;
        let state = fs::read_to_string(&path).map_err(|e| CgroupError::new("reading", &path, e))?;
        if state.trim() == wanted {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    if frozen {
        write(&path, "THAWED")?;
    }
    Err(CgroupError::new(
        "freezing",
        directory,
        io::ErrorKind::TimedOut.into(),
    ))
}
