//! Limits of a container.

use serde::{Deserialize, Serialize};

/// Limits besides those that [`super::HostOptions`] has itself; zero or empty is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceOptions {
    /// Bytes of memory and swap together; -1: unlimited swap.
    pub memory_swap_bytes: i64,
    /// Bytes that the kernel tries to get down to under pressure.
    pub memory_reservation_bytes: i64,
    /// 0 to 100.
    pub memory_swappiness: Option<i64>,
    /// Does not kill when memory is out.
    pub oom_kill_disable: Option<bool>,
    /// Microseconds.
    pub cpu_period_micros: i64,
    /// Microseconds in each period.
    pub cpu_quota_micros: i64,
    /// Microseconds.
    pub cpu_realtime_period_micros: i64,
    /// Microseconds in each period.
    pub cpu_realtime_runtime_micros: i64,
    /// Processors, such as `0-2,4`.
    pub cpuset_cpus: String,
    /// Memory nodes.
    pub cpuset_mems: String,
    /// 10 to 1000.
    pub blkio_weight: u16,
    /// Weights of single devices.
    pub blkio_weight_device: Vec<WeightDevice>,
    /// Bytes a second.
    pub device_read_bps: Vec<ThrottleDevice>,
    /// Bytes a second.
    pub device_write_bps: Vec<ThrottleDevice>,
    /// Operations a second.
    pub device_read_iops: Vec<ThrottleDevice>,
    /// Operations a second.
    pub device_write_iops: Vec<ThrottleDevice>,
    /// Limits of single processes.
    pub ulimits: Vec<UlimitOption>,
    /// `c 1:3 rwm`.
    pub device_cgroup_rules: Vec<String>,
    /// Cgroup above the container's; empty: the agent's own.
    pub cgroup_parent: String,
    /// Bytes; only with cgroup v1.
    pub kernel_memory_tcp_bytes: i64,
}

/// Share of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightDevice {
    /// Path of the device on the machine.
    pub path: String,
    /// 10 to 1000.
    pub weight: u16,
}

/// Limit of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottleDevice {
    /// Path of the device on the machine.
    pub path: String,
    /// Bytes or operations a second.
    pub rate: u64,
}

/// Limit of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UlimitOption {
    /// `nofile`, `nproc`, …
    pub name: String,
    /// -1: unlimited.
    pub soft: i64,
    /// -1: unlimited.
    pub hard: i64,
}
