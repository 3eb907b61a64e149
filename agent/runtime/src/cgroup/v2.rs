//! Control groups of version 2: one hierarchy, controllers passed down from level to level.

use std::fs;
use std::io;
use std::path::Path;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

use super::{CgroupError, devices, order, write, write_limit};

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
    let mut set = |file: &str, value: Option<String>, what: &str| match value {
        Some(value) => write_limit(directory, file, &value, what, warnings),
        None => Ok(()),
    };
    if let Some(memory) = resources.memory() {
        set("memory.max", limit(memory.limit()), "the memory limit")?;
        set("memory.swap.max", swap(directory, memory), "the swap limit")?;
        set(
            "memory.low",
            limit(memory.reservation()),
            "the memory reservation",
        )?;
    }
    if let Some(cpu) = resources.cpu() {
        set("cpu.weight", weight(cpu), "the share of processor time")?;
        set("cpu.max", quota(directory, cpu), "the processor quota")?;
        set(
            "cpuset.cpus",
            cpu.cpus().clone().filter(|l| !l.is_empty()),
            "the choice of processors",
        )?;
        set(
            "cpuset.mems",
            cpu.mems().clone().filter(|l| !l.is_empty()),
            "the choice of memory nodes",
        )?;
    }
    if let Some(pids) = resources.pids() {
        let value = limit(Some(pids.limit()));
        set("pids.max", value, "the limit of processes")?;
    }
    if let Some(io) = resources.block_io() {
        let weight = io
            .weight()
            .filter(|n| *n != 0)
            .map(|n| io_weight(n).to_string());
        set("io.weight", weight, "the weight of block I/O")?;
        for line in throttles(io) {
            set("io.max", Some(line), "throttling of block I/O")?;
        }
    }
    for page in resources.hugepage_limits().iter().flatten() {
        let file = format!("hugetlb.{}.max", page.page_size());
        set(
            &file,
            Some(page.limit().to_string()),
            "the limit of huge pages",
        )?;
    }
    for (file, value) in resources.unified().iter().flatten() {
        if file.contains('/') {
            let wrong = io::ErrorKind::InvalidInput.into();
            return Err(CgroupError::new(
                "using control file",
                Path::new(file),
                wrong,
            ));
        }
        set(file, Some(value.clone()), file)?;
    }
    Ok(())
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

fn limit(value: Option<i64>) -> Option<String> {
    match value? {
        0 => None,
        n if n < 0 => Some("max".to_owned()),
        n => Some(n.to_string()),
    }
}

fn swap(directory: &Path, memory: &LinuxMemory) -> Option<String> {
    let asked = |value: Option<i64>| value.filter(|n| *n != 0);
    order::swap_max(directory, asked(memory.limit()), asked(memory.swap()))
}

/// Maps shares (2 to 262144, usually 1024) to weights (1 to 10000, usually 100), as other runtimes do.
fn weight(cpu: &LinuxCpu) -> Option<String> {
    let shares = cpu.shares().filter(|n| *n != 0)?.clamp(2, 262_144);
    Some((1 + (shares - 2) * 9999 / 262_142).to_string())
}

fn quota(directory: &Path, cpu: &LinuxCpu) -> Option<String> {
    let quota = cpu.quota().filter(|n| *n != 0);
    order::cpu_max(directory, quota, cpu.period().filter(|n| *n != 0))
}

/// Maps 10 to 1000 to 1 to 10000.
fn io_weight(weight: u16) -> u64 {
    let weight = u64::from(weight.clamp(10, 1000));
    1 + (weight - 10) * 9999 / 990
}

fn throttles(io: &LinuxBlockIo) -> Vec<String> {
    let lists = [
        ("rbps", io.throttle_read_bps_device()),
        ("wbps", io.throttle_write_bps_device()),
        ("riops", io.throttle_read_iops_device()),
        ("wiops", io.throttle_write_iops_device()),
    ];
    let mut lines = Vec::new();
    for (key, list) in lists {
        let devices = list.iter().flatten();
        lines.extend(devices.map(|device| {
            format!(
                "{}:{} {key}={}",
                device.major(),
                device.minor(),
                device.rate()
            )
        }));
    }
    lines
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
