//! Which devices a group may use: lines of text for the controller of version 1.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::cgroup::layout::Layout;
use crate::cgroup::{CgroupError, devices};

/// Applies rules in their order.
pub(super) fn restrict(
    layout: &Layout,
    path: &Path,
    rules: &[LinuxDeviceCgroup],
) -> Result<(), CgroupError> {
    if rules.is_empty() {
        return Ok(());
    }
    let Some(hierarchy) = layout.hierarchy("devices") else {
        return restrict_otherwise(layout, path, rules);
    };
    let directory = hierarchy.mount.join(path);
    let (allow, deny) = (
        open(directory.join("devices.allow"))?,
        open(directory.join("devices.deny"))?,
    );
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

fn open(path: PathBuf) -> Result<(PathBuf, File), CgroupError> {
    match OpenOptions::new().write(true).open(&path) {
        Ok(file) => Ok((path, file)),
        Err(e) => Err(CgroupError::new("opening", &path, e)),
    }
}

/// Restricts devices by version 2, which needs no controller for that. Unlike other limits this one may not be
/// missing: a container makes its own nodes of the machine's disks, and only the rules keep it from opening them.
fn restrict_otherwise(
    layout: &Layout,
    path: &Path,
    rules: &[LinuxDeviceCgroup],
) -> Result<(), CgroupError> {
    match &layout.v2 {
        Some(root) => devices::restrict(&root.join(path), rules),
        None if rules.iter().all(LinuxDeviceCgroup::allow) => Ok(()),
        None => Err(CgroupError::new(
            "restricting devices, for which no cgroup hierarchy is mounted, of",
            path,
            io::ErrorKind::Unsupported.into(),
        )),
    }
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
            restrict(&layout, path, resources.devices().as_ref().unwrap())
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
