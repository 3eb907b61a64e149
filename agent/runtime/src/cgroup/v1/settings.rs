//! What limits are called in version 1, without those whose order matters.

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxHugepageLimit, LinuxMemory, LinuxPids, LinuxResources,
};

use crate::cgroup::{Setting, block_throttles, rdma};

/// Settings with their controllers.
type Settings = Vec<(&'static str, Setting)>;

/// Returns the settings for all limits that are asked for; their files have no directory yet.
pub(super) fn of(resources: &LinuxResources) -> Settings {
    let mut list = Settings::new();
    if let Some(memory) = resources.memory() {
        of_memory(memory, &mut list);
    }
    if let Some(cpu) = resources.cpu() {
        of_cpu(cpu, &mut list);
    }
    if let Some(pids) = resources.pids() {
        of_pids(pids, &mut list);
    }
    if let Some(io) = resources.block_io() {
        of_block_io(io, &mut list);
    }
    for page in resources.hugepage_limits().iter().flatten() {
        of_huge_pages(page, &mut list);
    }
    if let Some(network) = resources.network() {
        let class = Setting::some("net_cls.classid", network.class_id(), "the network class");
        list.extend(class.map(|setting| ("net_cls", setting)));
        for interface in network.priorities().iter().flatten() {
            let value = format!("{} {}", interface.name(), interface.priority());
            let what = "the network priority";
            list.push(("net_prio", Setting::new("net_prio.ifpriomap", value, what)));
        }
    }
    for value in rdma(resources) {
        list.push(("rdma", Setting::new("rdma.max", value, "the RDMA limit")));
    }
    list
}

fn of_memory(memory: &LinuxMemory, list: &mut Settings) {
    let wanted = |value: Option<i64>| value.filter(|n| *n != 0);
    let spared = memory.disable_oom_killer().filter(|spared| *spared);
    let settings = [
        Setting::some(
            "memory.soft_limit_in_bytes",
            wanted(memory.reservation()),
            "the memory reservation",
        ),
        Setting::some(
            "memory.swappiness",
            memory.swappiness(),
            "the memory swappiness",
        ),
        Setting::some(
            "memory.oom_control",
            spared.map(|_| 1),
            "switching off the out-of-memory killer",
        ),
        Setting::some(
            "memory.kmem.tcp.limit_in_bytes",
            wanted(memory.kernel_tcp()),
            "the limit of TCP memory",
        ),
    ];
    list.extend(settings.into_iter().flatten().map(|s| ("memory", s)));
}

fn of_cpu(cpu: &LinuxCpu, list: &mut Settings) {
    let listed = |list: &Option<String>| list.clone().filter(|l| !l.is_empty());
    let times = [
        Setting::some(
            "cpu.shares",
            cpu.shares().filter(|n| *n != 0),
            "the share of processor time",
        ),
        Setting::some("cpu.cfs_burst_us", cpu.burst(), "the processor burst"),
        Setting::some("cpu.idle", cpu.idle(), "idle scheduling"),
    ];
    list.extend(times.into_iter().flatten().map(|s| ("cpu", s)));
    let sets = [
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
    list.extend(sets.into_iter().flatten().map(|s| ("cpuset", s)));
}

fn of_pids(pids: &LinuxPids, list: &mut Settings) {
    let value = match pids.limit() {
        0 => return,
        n if n < 0 => "max".to_owned(),
        n => n.to_string(),
    };
    list.push((
        "pids",
        Setting::new("pids.max", value, "the limit of processes"),
    ));
}

fn of_block_io(io: &LinuxBlockIo, list: &mut Settings) {
    let mut add = |setting| list.push(("blkio", setting));
    let what = "the weight of block I/O";
    let weight = io.weight().filter(|n| *n != 0);
    if let Some(setting) = Setting::some("blkio.weight", weight, what) {
        add(setting.or("blkio.bfq.weight"));
    }
    let leaf = io.leaf_weight().filter(|n| *n != 0);
    Setting::some("blkio.leaf_weight", leaf, what)
        .into_iter()
        .for_each(&mut add);
    for device in io.weight_device().iter().flatten() {
        let number = format!("{}:{}", device.major(), device.minor());
        let what = "the weight of a block device";
        if let Some(weight) = device.weight() {
            let setting = Setting::new("blkio.weight_device", format!("{number} {weight}"), what);
            add(setting.or("blkio.bfq.weight_device"));
        }
        if let Some(weight) = device.leaf_weight() {
            let value = format!("{number} {weight}");
            add(Setting::new("blkio.leaf_weight_device", value, what));
        }
    }
    for (direction, unit, device) in block_throttles(io) {
        let file = format!("blkio.throttle.{direction}_{unit}_device");
        let value = format!("{}:{} {}", device.major(), device.minor(), device.rate());
        add(Setting::new(file, value, "throttling of block I/O"));
    }
}

fn of_huge_pages(page: &LinuxHugepageLimit, list: &mut Settings) {
    let what = "the limit of huge pages";
    let file = |kind: &str| format!("hugetlb.{}.{kind}limit_in_bytes", page.page_size());
    let limit = Setting::new(file(""), page.limit(), what);
    list.push(("hugetlb", limit));
    // Pages that are promised count as well, where the kernel counts them.
    let reserved = Setting::new(file("rsvd."), page.limit(), what).if_present();
    list.push(("hugetlb", reserved));
}
