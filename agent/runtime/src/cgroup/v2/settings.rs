//! What limits are called in version 2, which counts some of them differently.

use std::path::Path;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxHugepageLimit, LinuxMemory, LinuxResources};

use crate::cgroup::{Setting, block_throttles, order, rdma};

/// Returns the settings for all limits that are asked for; their files have no place yet. Some depend on
/// what is in force in `directory`.
pub(super) fn of(directory: &Path, resources: &LinuxResources) -> Vec<Setting> {
    let mut list = Vec::new();
    if let Some(memory) = resources.memory() {
        of_memory(directory, memory, &mut list);
    }
    if let Some(cpu) = resources.cpu() {
        of_cpu(directory, cpu, &mut list);
    }
    if let Some(pids) = resources.pids() {
        let value = limit(Some(pids.limit()));
        list.extend(Setting::some("pids.max", value, "the limit of processes"));
    }
    if let Some(io) = resources.block_io() {
        of_block_io(io, &mut list);
    }
    for page in resources.hugepage_limits().iter().flatten() {
        of_huge_pages(page, &mut list);
    }
    for value in rdma(resources) {
        list.push(Setting::new("rdma.max", value, "the RDMA limit"));
    }
    for (file, value) in resources.unified().iter().flatten() {
        list.push(Setting::new(file, value, file.as_str()));
    }
    list
}

/// Names what this version has no equivalent of.
pub(super) fn without_effect(resources: &LinuxResources) -> Vec<String> {
    let memory = resources.memory().as_ref();
    let cpu = resources.cpu().as_ref();
    let network = resources.network().as_ref();
    let asked = [
        (
            "switching off the out-of-memory killer",
            memory.and_then(LinuxMemory::disable_oom_killer) == Some(true),
        ),
        (
            "the memory swappiness",
            memory.and_then(LinuxMemory::swappiness).is_some(),
        ),
        (
            "the limit of TCP memory",
            memory
                .and_then(LinuxMemory::kernel_tcp)
                .is_some_and(|n| n != 0),
        ),
        (
            "the real-time period",
            cpu.and_then(LinuxCpu::realtime_period)
                .is_some_and(|n| n != 0),
        ),
        (
            "the real-time share",
            cpu.and_then(LinuxCpu::realtime_runtime)
                .is_some_and(|n| n != 0),
        ),
        (
            "the network class or priority",
            network.is_some_and(|n| n.class_id().is_some() || n.priorities().is_some()),
        ),
    ];
    let asked = asked.into_iter().filter(|(_, asked)| *asked);
    asked
        .map(|(what, _)| format!("{what} has no effect: cgroup version 2 has no such setting"))
        .collect()
}

fn of_memory(directory: &Path, memory: &LinuxMemory, list: &mut Vec<Setting>) {
    let asked = |value: Option<i64>| value.filter(|n| *n != 0);
    let swap = order::swap_max(directory, asked(memory.limit()), asked(memory.swap()));
    let settings = [
        Setting::some("memory.max", limit(memory.limit()), "the memory limit"),
        Setting::some("memory.swap.max", swap, "the swap limit"),
        Setting::some(
            "memory.low",
            // Without one nothing is held back for it.
            asked(memory.reservation()).map(|bytes| bytes.max(0)),
            "the memory reservation",
        ),
    ];
    list.extend(settings.into_iter().flatten());
}

fn of_cpu(directory: &Path, cpu: &LinuxCpu, list: &mut Vec<Setting>) {
    let listed = |list: &Option<String>| list.clone().filter(|l| !l.is_empty());
    let (quota, period) = (
        cpu.quota().filter(|n| *n != 0),
        cpu.period().filter(|n| *n != 0),
    );
    let max = order::cpu_max(directory, quota, period);
    let settings = [
        Setting::some("cpu.weight", weight(cpu), "the share of processor time"),
        Setting::some("cpu.max", max, "the processor quota"),
        Setting::some("cpu.max.burst", cpu.burst(), "the processor burst"),
        Setting::some("cpu.idle", cpu.idle(), "idle scheduling"),
        Setting::some(
            "cpuset.cpus",
            listed(cpu.cpus()),
            "the choice of processors",
        ),
        Setting::some(
            "cpuset.mems",
            listed(cpu.mems()),
            "the choice of memory nodes",
        ),
    ];
    list.extend(settings.into_iter().flatten());
}

fn of_block_io(io: &LinuxBlockIo, list: &mut Vec<Setting>) {
    let what = "the weight of block I/O";
    if let Some(weight) = io.weight().filter(|n| *n != 0) {
        // One scheduler takes the numbers as they are, the other on a scale of its own.
        list.push(Setting::new("io.bfq.weight", weight, what).if_present());
        let scaled = Setting::new("io.weight", io_weight(weight), what);
        list.push(scaled.or("io.bfq.weight"));
    }
    for device in io.weight_device().iter().flatten() {
        let Some(weight) = device.weight() else {
            continue;
        };
        let number = format!("{}:{}", device.major(), device.minor());
        let value = format!("{number} {}", io_weight(weight));
        let what = "the weight of a block device";
        list.push(Setting::new("io.weight", value, what));
    }
    for (direction, unit, device) in block_throttles(io) {
        let key = direction.get(..1).unwrap_or_default();
        let value = format!(
            "{}:{} {key}{unit}={}",
            device.major(),
            device.minor(),
            device.rate()
        );
        list.push(Setting::new("io.max", value, "throttling of block I/O"));
    }
}

fn of_huge_pages(page: &LinuxHugepageLimit, list: &mut Vec<Setting>) {
    let what = "the limit of huge pages";
    let file = |kind: &str| format!("hugetlb.{}.{kind}max", page.page_size());
    list.push(Setting::new(file(""), page.limit(), what));
    // Pages that are promised count as well, where the kernel counts them.
    list.push(Setting::new(file("rsvd."), page.limit(), what).if_present());
}

fn limit(value: Option<i64>) -> Option<String> {
    match value? {
        0 => None,
        n if n < 0 => Some("max".to_owned()),
        n => Some(n.to_string()),
    }
}

/// Maps shares (2 to 262144, usually 1024) to weights (1 to 10000, usually 100), as other runtimes do.
fn weight(cpu: &LinuxCpu) -> Option<String> {
    let shares = cpu.shares().filter(|n| *n != 0)?.clamp(2, 262_144);
    Some((1 + (shares - 2) * 9999 / 262_142).to_string())
}

/// Maps 10 to 1000 to 1 to 10000.
fn io_weight(weight: u16) -> u64 {
    let weight = u64::from(weight.clamp(10, 1000));
    1 + (weight - 10) * 9999 / 990
}
