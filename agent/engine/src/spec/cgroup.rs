//! Limits and device rules of a container's cgroup.

use oci_spec::OciSpecError;
use oci_spec::runtime::{
    LinuxCpuBuilder, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType,
    LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResources, LinuxResourcesBuilder,
};

use crate::options::HostOptions;

use super::devices::DeviceRequest;

/// Length of a scheduling period in microseconds, the kernel's default.
const CPU_PERIOD: u64 = 100_000;

/// Returns limits and device rules.
pub(super) fn resources(
    host: &HostOptions,
    devices: &[DeviceRequest],
) -> Result<LinuxResources, OciSpecError> {
    let mut resources = LinuxResourcesBuilder::default().devices(device_rules(host, devices)?);
    if host.memory_bytes > 0 {
        // As Docker: as much swap again as memory.
        let memory = LinuxMemoryBuilder::default()
            .limit(host.memory_bytes)
            .swap(host.memory_bytes.saturating_mul(2))
            .build()?;
        resources = resources.memory(memory);
    }
    if host.nano_cpus > 0 || host.cpu_shares > 0 {
        let mut cpu = LinuxCpuBuilder::default();
        if host.nano_cpus > 0 {
            // Billionths of a CPU times 100 000 µs / 1e9.
            cpu = cpu.period(CPU_PERIOD).quota(host.nano_cpus / 10_000);
        }
        if let Ok(shares @ 1..) = u64::try_from(host.cpu_shares) {
            cpu = cpu.shares(shares);
        }
        resources = resources.cpu(cpu.build()?);
    }
    if host.pids_limit > 0 {
        resources = resources.pids(LinuxPidsBuilder::default().limit(host.pids_limit).build()?);
    }
    resources.build()
}

fn device_rules(
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
