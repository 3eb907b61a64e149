//! Control groups of version 1: one hierarchy for each controller or few.

use std::fs;
use std::io;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxDeviceCgroup, LinuxDeviceType, LinuxMemory, LinuxResources,
};

use super::layout::{Hierarchy, Layout};
use super::{CgroupError, devices, order, write, write_limit};

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

/// Where limits go, and what could not be limited.
struct Limits<'a> {
    layout: &'a Layout,
    path: &'a Path,
    warnings: &'a mut Vec<String>,
}

impl Limits<'_> {
    /// Sets a limit if one is asked for.
    fn set(
        &mut self,
        controller: &str,
        file: &str,
        value: Option<impl ToString>,
        what: &str,
    ) -> Result<(), CgroupError> {
        let Some(value) = value else { return Ok(()) };
        match self.directory(controller) {
            Some(directory) => {
                write_limit(&directory, file, &value.to_string(), what, self.warnings)
            }
            None => {
                self.lacks(what, controller);
                Ok(())
            }
        }
    }

    /// Sets a period and the share of it.
    fn period(
        &mut self,
        period: (&str, Option<u64>),
        share: (&str, Option<i64>),
        what: &str,
    ) -> Result<(), CgroupError> {
        if period.1.is_none() && share.1.is_none() {
            return Ok(());
        }
        match self.directory("cpu") {
            Some(directory) => {
                order::period_and_share(&directory, period, share, what, self.warnings)
            }
            None => {
                self.lacks(what, "cpu");
                Ok(())
            }
        }
    }

    fn lacks(&mut self, what: &str, controller: &str) {
        self.warnings.push(format!(
            "{what} has no effect: no cgroup controller {controller}"
        ));
    }

    fn directory(&self, controller: &str) -> Option<PathBuf> {
        self.layout
            .hierarchy(controller)
            .map(|hierarchy| hierarchy.mount.join(self.path))
    }

    fn memory(&mut self, memory: &LinuxMemory) -> Result<(), CgroupError> {
        let asked = |value: Option<i64>| value.filter(|n| *n != 0);
        let (limit, both) = (asked(memory.limit()), asked(memory.swap()));
        if limit.is_some() || both.is_some() {
            match self.directory("memory") {
                Some(directory) => order::memory_v1(&directory, limit, both, self.warnings)?,
                None => self.lacks("the memory limit", "memory"),
            }
        }
        let reservation = memory.reservation().filter(|n| *n != 0);
        self.set(
            "memory",
            "memory.soft_limit_in_bytes",
            reservation,
            "the memory reservation",
        )?;
        self.set(
            "memory",
            "memory.swappiness",
            memory.swappiness(),
            "the swappiness",
        )?;
        let spared = memory
            .disable_oom_killer()
            .filter(|spared| *spared)
            .map(|_| 1);
        self.set(
            "memory",
            "memory.oom_control",
            spared,
            "switching off the out-of-memory killer",
        )?;
        self.set(
            "memory",
            "memory.kmem.tcp.limit_in_bytes",
            memory.kernel_tcp(),
            "the limit of TCP memory",
        )
    }

    fn cpu(&mut self, cpu: &LinuxCpu) -> Result<(), CgroupError> {
        self.set(
            "cpu",
            "cpu.shares",
            cpu.shares().filter(|n| *n != 0),
            "the share of processor time",
        )?;
        let asked = |value: Option<u64>| value.filter(|n| *n != 0);
        let shares = |value: Option<i64>| value.filter(|n| *n != 0);
        self.period(
            ("cpu.cfs_period_us", asked(cpu.period())),
            ("cpu.cfs_quota_us", shares(cpu.quota())),
            "the processor quota",
        )?;
        self.period(
            ("cpu.rt_period_us", asked(cpu.realtime_period())),
            ("cpu.rt_runtime_us", shares(cpu.realtime_runtime())),
            "the real-time share",
        )?;
        let listed = |list: &Option<String>| list.clone().filter(|l| !l.is_empty());
        self.set(
            "cpuset",
            "cpuset.cpus",
            listed(cpu.cpus()),
            "the choice of processors",
        )?;
        self.set(
            "cpuset",
            "cpuset.mems",
            listed(cpu.mems()),
            "the choice of memory nodes",
        )
    }

    fn block_io(&mut self, io: &LinuxBlockIo) -> Result<(), CgroupError> {
        self.set(
            "blkio",
            "blkio.weight",
            io.weight().filter(|n| *n != 0),
            "the weight of block I/O",
        )?;
        let lists = [
            (
                "blkio.throttle.read_bps_device",
                io.throttle_read_bps_device(),
            ),
            (
                "blkio.throttle.write_bps_device",
                io.throttle_write_bps_device(),
            ),
            (
                "blkio.throttle.read_iops_device",
                io.throttle_read_iops_device(),
            ),
            (
                "blkio.throttle.write_iops_device",
                io.throttle_write_iops_device(),
            ),
        ];
        for (file, list) in lists {
            for device in list.iter().flatten() {
                let value = format!("{}:{} {}", device.major(), device.minor(), device.rate());
                self.set("blkio", file, Some(value), "throttling of block I/O")?;
            }
        }
        for device in io.weight_device().iter().flatten() {
            let value = device
                .weight()
                .map(|weight| format!("{}:{} {weight}", device.major(), device.minor()));
            self.set(
                "blkio",
                "blkio.weight_device",
                value,
                "the weight of a block device",
            )?;
        }
        Ok(())
    }

    fn devices(&mut self, rules: &[LinuxDeviceCgroup]) -> Result<(), CgroupError> {
        if rules.is_empty() {
            return Ok(());
        }
        let Some(directory) = self.directory("devices") else {
            return self.devices_otherwise(rules);
        };
        let open = |file: &str| {
            let path = directory.join(file);
            let opened = fs::OpenOptions::new().write(true).open(&path);
            opened
                .map(|file| (path.clone(), file))
                .map_err(|e| CgroupError::new("opening", &path, e))
        };
        let (allow, deny) = (open("devices.allow")?, open("devices.deny")?);
        for rule in rules {
            let (path, mut file) = if rule.allow() {
                (&allow.0, &allow.1)
            } else {
                (&deny.0, &deny.1)
            };
            let line = device_line(rule);
            file.write_all(line.as_bytes())
                .map_err(|e| CgroupError::new(format!("writing {line} to"), path, e))?;
        }
        Ok(())
    }

    /// Restricts devices by version 2, which needs no controller for that. Unlike other limits this one may not be
    /// missing: a container makes its own nodes of the machine's disks, and only the rules keep it from opening them.
    fn devices_otherwise(&self, rules: &[LinuxDeviceCgroup]) -> Result<(), CgroupError> {
        match &self.layout.v2 {
            Some(root) => devices::restrict(&root.join(self.path), rules),
            None if allows_everything(rules) => Ok(()),
            None => Err(CgroupError::new(
                "restricting devices, for which no cgroup hierarchy is mounted, of",
                self.path,
                io::ErrorKind::Unsupported.into(),
            )),
        }
    }
}

fn allows_everything(rules: &[LinuxDeviceCgroup]) -> bool {
    rules.iter().all(LinuxDeviceCgroup::allow)
}

/// Applies all limits that are asked for.
pub(super) fn apply(
    layout: &Layout,
    path: &Path,
    resources: &LinuxResources,
    warnings: &mut Vec<String>,
) -> Result<(), CgroupError> {
    let mut limits = Limits {
        layout,
        path,
        warnings,
    };
    limits.devices(resources.devices().as_deref().unwrap_or_default())?;
    if let Some(memory) = resources.memory() {
        limits.memory(memory)?;
    }
    if let Some(cpu) = resources.cpu() {
        limits.cpu(cpu)?;
    }
    if let Some(pids) = resources.pids() {
        let value = if pids.limit() > 0 {
            Some(pids.limit().to_string())
        } else {
            Some("max".to_owned())
        };
        limits.set(
            "pids",
            "pids.max",
            value.filter(|_| pids.limit() != 0),
            "the limit of processes",
        )?;
    }
    if let Some(io) = resources.block_io() {
        limits.block_io(io)?;
    }
    for page in resources.hugepage_limits().iter().flatten() {
        let file = format!("hugetlb.{}.limit_in_bytes", page.page_size());
        limits.set(
            "hugetlb",
            &file,
            Some(page.limit()),
            "the limit of huge pages",
        )?;
    }
    if let Some(network) = resources.network() {
        limits.set(
            "net_cls",
            "net_cls.classid",
            network.class_id(),
            "the class of network packets",
        )?;
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

fn device_line(rule: &LinuxDeviceCgroup) -> String {
    let number = |n: Option<i64>| {
        n.filter(|n| *n >= 0)
            .map_or_else(|| "*".to_owned(), |n| n.to_string())
    };
    let kind = match rule.typ().unwrap_or_default() {
        LinuxDeviceType::B => "b",
        LinuxDeviceType::C | LinuxDeviceType::U => "c",
        LinuxDeviceType::A | LinuxDeviceType::P => "a",
    };
    let access = rule
        .access()
        .as_deref()
        .filter(|access| !access.is_empty())
        .unwrap_or("rwm");
    format!(
        "{kind} {}:{} {access}",
        number(rule.major()),
        number(rule.minor())
    )
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::{LinuxDeviceCgroupBuilder, LinuxResourcesBuilder};

    use super::*;

    #[test]
    fn a_machine_that_cannot_restrict_devices_gives_them_only_to_those_who_get_all() {
        let with_rule = |allow: bool| {
            let rule = LinuxDeviceCgroupBuilder::default().allow(allow).build();
            let resources = LinuxResourcesBuilder::default().devices(vec![rule.unwrap()]);
            let layout = Layout::default();
            let (path, resources) = (Path::new("berth/x"), resources.build().unwrap());
            apply(&layout, path, &resources, &mut Vec::new())
        };
        with_rule(true).unwrap();
        assert_eq!(
            with_rule(false).unwrap_err().io_error().kind(),
            io::ErrorKind::Unsupported
        );
    }

    #[test]
    fn device_rules_are_written_as_the_kernel_reads_them() {
        let all = LinuxDeviceCgroupBuilder::default()
            .allow(false)
            .access("rwm".to_owned())
            .build()
            .unwrap();
        assert_eq!(device_line(&all), "a *:* rwm");
        let null = LinuxDeviceCgroupBuilder::default()
            .allow(true)
            .typ(LinuxDeviceType::C)
            .major(1)
            .minor(3)
            .build();
        assert_eq!(device_line(&null.unwrap()), "c 1:3 rwm");
    }
}
