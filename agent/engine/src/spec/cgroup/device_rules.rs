//! Which devices a container's cgroup lets through.

use oci_spec::OciSpecError;
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType};

use crate::options::HostOptions;
use crate::spec::devices::{DeviceRequest, DeviceRule};

/// Returns the rules in the order in which they apply.
pub(super) fn device_rules(
    host: &HostOptions,
    devices: &[DeviceRequest],
) -> Result<Vec<LinuxDeviceCgroup>, OciSpecError> {
    if host.privileged {
        let all = LinuxDeviceCgroupBuilder::default()
            .allow(true)
            .typ(LinuxDeviceType::A)
            .access("rwm")
            .build()?;
        return Ok(vec![all]);
    }
    let none = LinuxDeviceCgroupBuilder::default()
        .allow(false)
        .typ(LinuxDeviceType::A)
        .access("rwm")
        .build()?;
    let mut rules = vec![none];
    // Any node may be made, which is harmless as long as it cannot be opened.
    for kind in [LinuxDeviceType::C, LinuxDeviceType::B] {
        rules.push(
            LinuxDeviceCgroupBuilder::default()
                .allow(true)
                .typ(kind)
                .access("m")
                .build()?,
        );
    }
    // null, zero, full, random, urandom, tty, console, ptmx.
    for (major, minor) in [
        (1, 3),
        (1, 5),
        (1, 7),
        (1, 8),
        (1, 9),
        (5, 0),
        (5, 1),
        (5, 2),
    ] {
        rules.push(rule(LinuxDeviceType::C, major, Some(minor), "rwm")?);
    }
    // Terminals of devpts.
    rules.push(rule(LinuxDeviceType::C, 136, None, "rwm")?);
    for device in devices {
        rules.push(rule(
            device.kind,
            device.major,
            Some(device.minor),
            &device.access,
        )?);
    }
    // Checked when the container was created.
    for asked in host
        .resources
        .device_cgroup_rules
        .iter()
        .filter_map(|text| DeviceRule::parse(text).ok())
    {
        rules.push(asked.to_oci()?);
    }
    Ok(rules)
}

fn rule(
    kind: LinuxDeviceType,
    major: i64,
    minor: Option<i64>,
    access: &str,
) -> Result<LinuxDeviceCgroup, OciSpecError> {
    let rule = LinuxDeviceCgroupBuilder::default()
        .allow(true)
        .typ(kind)
        .major(major)
        .access(access);
    match minor {
        Some(minor) => rule.minor(minor).build(),
        None => rule.build(),
    }
}
