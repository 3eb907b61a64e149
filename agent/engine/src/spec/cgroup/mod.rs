//! Limits and device rules of a container's cgroup.

mod block_io;
mod device_rules;

use std::path::PathBuf;

use oci_spec::OciSpecError;
use oci_spec::runtime::{
    LinuxCpu, LinuxCpuBuilder, LinuxMemory, LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResources,
    LinuxResourcesBuilder,
};

use crate::create::mount::clean;
use crate::options::HostOptions;
use crate::spec::SpecError;
use crate::spec::devices::DeviceRequest;

/// Length of a scheduling period in microseconds, the kernel's default.
const CPU_PERIOD: u64 = 100_000;

/// Group of containers that ask for no other.
const DEFAULT_PARENT: &str = "berth";

/// Returns the path of a container's group, below the root of each hierarchy and never outside of it.
pub(crate) fn path(id: &str, parent: &str) -> PathBuf {
    let parent = if parent.is_empty() {
        DEFAULT_PARENT
    } else {
        parent
    };
    PathBuf::from(clean(parent)).join(id)
}

/// Returns the limits alone, which can change while a container runs.
///
/// # Errors
/// When a device that is to be limited cannot be looked at.
pub(crate) fn resources(host: &HostOptions) -> Result<LinuxResources, SpecError> {
    limits(host, LinuxResourcesBuilder::default().devices(Vec::new()))
}

/// Returns limits and device rules.
pub(super) fn with_devices(
    host: &HostOptions,
    devices: &[DeviceRequest],
) -> Result<LinuxResources, SpecError> {
    let rules = device_rules::device_rules(host, devices)?;
    limits(host, LinuxResourcesBuilder::default().devices(rules))
}

fn limits(
    host: &HostOptions,
    mut resources: LinuxResourcesBuilder,
) -> Result<LinuxResources, SpecError> {
    if let Some(memory) = memory(host)? {
        resources = resources.memory(memory);
    }
    if let Some(cpu) = cpu(host)? {
        resources = resources.cpu(cpu);
    }
    // Less than nothing lifts a limit.
    if host.pids_limit != 0 {
        resources = resources.pids(LinuxPidsBuilder::default().limit(host.pids_limit).build()?);
    }
    if let Some(io) = block_io::block_io(&host.resources)? {
        resources = resources.block_io(io);
    }
    Ok(resources.build()?)
}

fn memory(host: &HostOptions) -> Result<Option<LinuxMemory>, OciSpecError> {
    let more = &host.resources;
    let mut memory = LinuxMemoryBuilder::default();
    if host.memory_bytes > 0 {
        memory = memory.limit(host.memory_bytes);
    }
    match more.memory_swap_bytes {
        // As Docker: as much swap again as memory.
        0 if host.memory_bytes > 0 => memory = memory.swap(host.memory_bytes.saturating_mul(2)),
        0 => {}
        swap => memory = memory.swap(swap),
    }
    if more.memory_reservation_bytes > 0 {
        memory = memory.reservation(more.memory_reservation_bytes);
    }
    if let Some(Ok(swappiness)) = more.memory_swappiness.map(u64::try_from) {
        memory = memory.swappiness(swappiness);
    }
    if let Some(spared @ true) = more.oom_kill_disable {
        memory = memory.disable_oom_killer(spared);
    }
    if more.kernel_memory_tcp_bytes > 0 {
        memory = memory.kernel_tcp(more.kernel_memory_tcp_bytes);
    }
    let built = memory.build()?;
    Ok((built != LinuxMemory::default()).then_some(built))
}

fn cpu(host: &HostOptions) -> Result<Option<LinuxCpu>, OciSpecError> {
    let more = &host.resources;
    let mut cpu = LinuxCpuBuilder::default();
    if let Ok(shares @ 1..) = u64::try_from(host.cpu_shares) {
        cpu = cpu.shares(shares);
    }
    if host.nano_cpus > 0 {
        // Billionths of a CPU times 100 000 µs / 1e9.
        cpu = cpu.period(CPU_PERIOD).quota(host.nano_cpus / 10_000);
    }
    if let Ok(period @ 1..) = u64::try_from(more.cpu_period_micros) {
        cpu = cpu.period(period);
    }
    if more.cpu_quota_micros != 0 {
        cpu = cpu.quota(more.cpu_quota_micros);
    }
    if let Ok(period @ 1..) = u64::try_from(more.cpu_realtime_period_micros) {
        cpu = cpu.realtime_period(period);
    }
    if more.cpu_realtime_runtime_micros != 0 {
        cpu = cpu.realtime_runtime(more.cpu_realtime_runtime_micros);
    }
    if !more.cpuset_cpus.is_empty() {
        cpu = cpu.cpus(&more.cpuset_cpus);
    }
    if !more.cpuset_mems.is_empty() {
        cpu = cpu.mems(&more.cpuset_mems);
    }
    let built = cpu.build()?;
    Ok((built != LinuxCpu::default()).then_some(built))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::ResourceOptions;

    #[test]
    fn a_parent_stays_below_the_hierarchy() {
        let path = |parent: &str| path("id", parent).display().to_string();
        assert_eq!(path(""), "/berth/id");
        assert_eq!(path("/a/b/"), "/a/b/id");
        assert_eq!(path("jobs.slice"), "/jobs.slice/id");
        assert_eq!(path("../../etc"), "/etc/id");
    }

    #[test]
    fn nothing_asked_for_is_nothing_limited() {
        let resources = resources(&HostOptions::default()).expect("built");
        assert!(resources.memory().is_none() && resources.cpu().is_none());
        assert!(resources.pids().is_none() && resources.block_io().is_none());
    }

    #[test]
    fn every_limit_arrives_in_the_kernels_units() {
        let host = HostOptions {
            memory_bytes: 64 << 20,
            nano_cpus: 1_500_000_000,
            cpu_shares: 512,
            pids_limit: -1,
            resources: ResourceOptions {
                memory_reservation_bytes: 32 << 20,
                memory_swappiness: Some(0),
                oom_kill_disable: Some(true),
                cpuset_cpus: "0-1".to_owned(),
                cpuset_mems: "0".to_owned(),
                ..ResourceOptions::default()
            },
            ..HostOptions::default()
        };
        let built = resources(&host).expect("built");
        let memory = (*built.memory()).expect("memory");
        assert_eq!(memory.limit(), Some(64 << 20));
        assert_eq!(memory.swap(), Some(128 << 20));
        assert_eq!(memory.reservation(), Some(32 << 20));
        assert_eq!(memory.swappiness(), Some(0));
        assert_eq!(memory.disable_oom_killer(), Some(true));
        let cpu = built.cpu().clone().expect("cpu");
        assert_eq!((cpu.period(), cpu.quota()), (Some(100_000), Some(150_000)));
        assert_eq!(cpu.shares(), Some(512));
        assert_eq!(cpu.cpus().as_deref(), Some("0-1"));
        assert_eq!(built.pids().as_ref().map(|p| p.limit()), Some(-1));
    }
}
