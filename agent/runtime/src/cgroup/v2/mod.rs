//! Control groups of version 2: one hierarchy, controllers passed down from level to level.

mod settings;

use std::fs;
use std::io;
use std::path::Path;

use oci_spec::runtime::LinuxResources;

use super::{CgroupError, devices, write, write_all};

/// Group for processes that stand in the way of passing controllers down.
const LEAF: &str = "init";

/// Makes the directory of a group and those on the way, and passes all controllers down to it if `controllers`.
pub(super) fn create(
    root: &Path,
    path: &Path,
    controllers: bool,
    warnings: &mut Vec<String>,
) -> Result<(), CgroupError> {
    let mut directory = root.to_owned();
    for part in path {
        if controllers {
            pass_down(&directory, directory == root, warnings)?;
        }
        directory.push(part);
        match fs::create_dir(&directory) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(CgroupError::new("making", &directory, source)),
        }
    }
    Ok(())
}

fn pass_down(
    directory: &Path,
    is_root: bool,
    warnings: &mut Vec<String>,
) -> Result<(), CgroupError> {
    let read = |file: &str| {
        let path = directory.join(file);
        fs::read_to_string(&path).map_err(|e| CgroupError::new("reading", &path, e))
    };
    let passed = read("cgroup.subtree_control")?;
    let available = read("cgroup.controllers")?;
    let missing: Vec<&str> = available
        .split_whitespace()
        .filter(|name| !passed.split_whitespace().any(|passed| passed == *name))
        .collect();
    let file = directory.join("cgroup.subtree_control");
    for name in missing {
        let value = format!("+{name}");
        let mut result = write(&file, &value);
        if is_root
            && matches!(&result, Err(e) if e.io_error().kind() == io::ErrorKind::ResourceBusy)
        {
            // The root of a cgroup namespace is an ordinary group: with processes in it nothing is passed down.
            move_to_leaf(directory)?;
            result = write(&file, &value);
        }
        if let Err(e) = result {
            warnings.push(format!(
                "no cgroup controller {name}: {e}: {}",
                e.io_error()
            ));
        }
    }
    Ok(())
}

fn move_to_leaf(root: &Path) -> Result<(), CgroupError> {
    let leaf = root.join(LEAF);
    match fs::create_dir(&leaf) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            return Err(CgroupError::new("making", &leaf, e));
        }
        _ => {}
    }
    let members = root.join("cgroup.procs");
    let text =
        fs::read_to_string(&members).map_err(|e| CgroupError::new("reading", &members, e))?;
    for pid in text.lines() {
        // A process that ends meanwhile or that belongs to the kernel cannot be moved, nor need it.
        drop(write(&leaf.join("cgroup.procs"), pid));
    }
    Ok(())
}

/// Applies all limits that are asked for.
pub(super) fn apply(
    directory: &Path,
    resources: &LinuxResources,
    warnings: &mut Vec<String>,
) -> Result<(), CgroupError> {
    let rules = resources.devices().as_deref().unwrap_or_default();
    if !rules.is_empty() {
        devices::restrict(directory, rules)?;
    }
    warnings.extend(settings::without_effect(resources));
    let mut placed = Vec::new();
    for setting in settings::of(directory, resources) {
        if setting.file.components().count() != 1 || setting.file.file_name().is_none() {
            let wrong = io::ErrorKind::InvalidInput.into();
            return Err(CgroupError::new("using control file", &setting.file, wrong));
        }
        placed.push(setting.below(directory));
    }
    write_all(placed, warnings)
}

/// Freezes or thaws a group and waits until the kernel says that it is so.
pub(super) fn freeze(directory: &Path, frozen: bool) -> Result<(), CgroupError> {
    write(
        &directory.join("cgroup.freeze"),
        if frozen { "1" } else { "0" },
    )?;
    let path = directory.join("cgroup.events");
    let wanted = if frozen { "frozen 1" } else { "frozen 0" };
    for _ in 0..1000 {
        let state = fs::read_to_string(&path).map_err(|e| CgroupError::new("reading", &path, e))?;
        if state.lines().any(|line| line == wanted) {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    Err(CgroupError::new(
        "freezing",
        directory,
        io::ErrorKind::TimedOut.into(),
    ))
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::{
        LinuxCpuBuilder, LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResourcesBuilder,
    };

    use super::*;

    fn applied(resources: &LinuxResources, files: &[&str]) -> (Vec<String>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(dir.path().join(file), "").unwrap();
        }
        let mut warnings = Vec::new();
        apply(dir.path(), resources, &mut warnings).unwrap();
        let contents = files
            .iter()
            .map(|file| fs::read_to_string(dir.path().join(file)).unwrap())
            .collect();
        (contents, warnings)
    }

    #[test]
    fn limits_are_translated_from_version_one() {
        let resources = LinuxResourcesBuilder::default()
            .memory(
                LinuxMemoryBuilder::default()
                    .limit(100_i64)
                    .swap(150_i64)
                    .build()
                    .unwrap(),
            )
            .cpu(
                LinuxCpuBuilder::default()
                    .shares(1024_u64)
                    .quota(50_000_i64)
                    .build()
                    .unwrap(),
            )
            .pids(LinuxPidsBuilder::default().limit(-1_i64).build().unwrap())
            .build()
            .unwrap();
        let files = [
            "memory.max",
            "memory.swap.max",
            "cpu.weight",
            "cpu.max",
            "pids.max",
        ];
        let (contents, warnings) = applied(&resources, &files);
        assert_eq!(contents, ["100", "50", "39", "50000 100000", "max"]);
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn a_limit_without_controller_is_a_warning() {
        let pids = LinuxPidsBuilder::default().limit(5_i64).build().unwrap();
        let resources = LinuxResourcesBuilder::default().pids(pids).build().unwrap();
        let (_, warnings) = applied(&resources, &[]);
        assert_eq!(
            warnings,
            ["the limit of processes has no effect: the kernel has no pids.max"]
        );
    }
}
