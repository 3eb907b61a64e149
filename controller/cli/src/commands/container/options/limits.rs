//! Flags about resources: those of a new container, and the ones among them that `update` can
//! change later.

use berth_proto::v1::{HostConfig, Resources, ThrottleDevice, UlimitSetting, WeightDevice};

use crate::failure::Failure;
use crate::spec::{block_io, cpus, device_rule, memory, number, ulimit};

/// Limits that can be changed while a container exists. What is not given is unset.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct AdjustableLimits {
    /// Memory, such as 512m or 2g; 6m is the least
    #[arg(long, short, value_name = "BYTES", value_parser = memory::limit)]
    pub(crate) memory: Option<i64>,

    /// Memory that is left to it when the machine runs short
    #[arg(long, value_name = "BYTES", value_parser = memory::limit)]
    pub(crate) memory_reservation: Option<i64>,

    /// Memory and swap together; -1 for any amount of swap
    #[arg(long, value_name = "BYTES", value_parser = memory::swap)]
    pub(crate) memory_swap: Option<i64>,

    /// CPUs, such as 1.5
    #[arg(long, value_name = "NUMBER", value_parser = cpus::parse)]
    pub(crate) cpus: Option<i64>,

    /// Weight beside other containers (1024 is usual)
    #[arg(long, short, value_name = "NUMBER", value_parser = number::int)]
    pub(crate) cpu_shares: Option<i64>,

    /// CPUs that it may use, such as 0-2,4
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_cpus: Option<String>,

    /// Memory nodes that it may use
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_mems: Option<String>,

    /// Microseconds in which the quota is counted
    #[arg(long, value_name = "NUMBER", value_parser = number::int)]
    pub(crate) cpu_period: Option<i64>,

    /// Microseconds of CPU in each period
    #[arg(long, value_name = "NUMBER", value_parser = number::int)]
    pub(crate) cpu_quota: Option<i64>,

    /// Microseconds in which the real-time runtime is counted
    #[arg(long, value_name = "NUMBER", value_parser = number::int)]
    pub(crate) cpu_rt_period: Option<i64>,

    /// Microseconds of real-time scheduling in each period
    #[arg(long, value_name = "NUMBER", value_parser = number::int)]
    pub(crate) cpu_rt_runtime: Option<i64>,

    /// Processes; -1 for any number
    #[arg(long, value_name = "NUMBER", value_parser = number::int)]
    pub(crate) pids_limit: Option<i64>,

    /// Weight of input and output beside other containers, 10 to 1000
    #[arg(long, value_name = "NUMBER", value_parser = number::uint16)]
    pub(crate) blkio_weight: Option<u16>,
}

/// Limits that a container keeps for life.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitOptions {
    #[command(flatten)]
    pub(super) adjustable: AdjustableLimits,

    /// How readily its memory is swapped, 0 to 100
    #[arg(long, value_name = "NUMBER", value_parser = number::int)]
    memory_swappiness: Option<i64>,

    /// Deprecated and without effect
    #[arg(long, value_name = "BYTES", value_parser = memory::limit, hide = true)]
    kernel_memory: Option<i64>,

    /// Do not kill it when memory runs out
    #[arg(long)]
    oom_kill_disable: bool,

    /// How readily it is killed when memory runs out, -1000 to 1000
    #[arg(long, value_name = "NUMBER", value_parser = number::int32)]
    oom_score_adj: Option<i32>,

    /// Weight of one device's input and output: PATH:WEIGHT
    #[arg(long, value_name = "DEVICE", value_parser = block_io::weight)]
    blkio_weight_device: Vec<WeightDevice>,

    /// Bytes a second read from a device: PATH:RATE, such as /dev/sda:1mb
    #[arg(long, value_name = "DEVICE", value_parser = block_io::bytes)]
    device_read_bps: Vec<ThrottleDevice>,

    /// Bytes a second written to a device
    #[arg(long, value_name = "DEVICE", value_parser = block_io::bytes)]
    device_write_bps: Vec<ThrottleDevice>,

    /// Reads a second from a device: PATH:NUMBER
    #[arg(long, value_name = "DEVICE", value_parser = block_io::operations)]
    device_read_iops: Vec<ThrottleDevice>,

    /// Writes a second to a device
    #[arg(long, value_name = "DEVICE", value_parser = block_io::operations)]
    device_write_iops: Vec<ThrottleDevice>,

    /// Limit of the kernel for each process: NAME=SOFT[:HARD], such as nofile=1024
    #[arg(long, value_name = "LIMIT", value_parser = ulimit::parse)]
    ulimit: Vec<UlimitSetting>,

    /// Rule for devices, such as "c 10:229 rwm"
    #[arg(long, value_name = "RULE", value_parser = device_rule::parse)]
    device_cgroup_rule: Vec<String>,

    /// Control group on the machine in which the container's is made
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<String>,
}

// === impl AdjustableLimits ===

impl AdjustableLimits {
    /// What goes into the message `Resources`; `memory`, `cpus`, `cpu_shares` and `pids_limit` have
    /// fields of their own beside it.
    pub(crate) fn resources(&self) -> Resources {
        Resources {
            memory_swap_bytes: self.memory_swap.unwrap_or(0),
            memory_reservation_bytes: self.memory_reservation.unwrap_or(0),
            cpu_period_micros: self.cpu_period.unwrap_or(0),
            cpu_quota_micros: self.cpu_quota.unwrap_or(0),
            cpu_realtime_period_micros: self.cpu_rt_period.unwrap_or(0),
            cpu_realtime_runtime_micros: self.cpu_rt_runtime.unwrap_or(0),
            cpuset_cpus: self.cpuset_cpus.clone().unwrap_or_default(),
            cpuset_mems: self.cpuset_mems.clone().unwrap_or_default(),
            blkio_weight: self.blkio_weight.unwrap_or(0).into(),
            ..Resources::default()
        }
    }
}

// === impl LimitOptions ===

impl LimitOptions {
    /// Puts the limits where the agent looks for them.
    pub(crate) fn apply(&self, host: &mut HostConfig) -> Result<(), Failure> {
        if let Some(value) = self.memory_swappiness
            && !(-1..=100).contains(&value)
        {
            return Err(Failure::new(format!(
                "invalid value: {value}. Valid memory swappiness range is 0-100"
            )));
        }
        host.memory_bytes = self.adjustable.memory.unwrap_or(0);
        host.nano_cpus = self.adjustable.cpus.unwrap_or(0);
        host.cpu_shares = self.adjustable.cpu_shares.unwrap_or(0);
        host.pids_limit = self.adjustable.pids_limit.unwrap_or(0);
        host.oom_score_adj = self.oom_score_adj.unwrap_or(0);
        host.resources = Some(Resources {
            memory_swappiness: self.memory_swappiness.filter(|value| *value >= 0),
            oom_kill_disable: self.oom_kill_disable.then_some(true),
            blkio_weight_device: self.blkio_weight_device.clone(),
            device_read_bps: self.device_read_bps.clone(),
            device_write_bps: self.device_write_bps.clone(),
            device_read_iops: self.device_read_iops.clone(),
            device_write_iops: self.device_write_iops.clone(),
            ulimits: ulimit::last_of_each(&self.ulimit),
            device_cgroup_rules: self.device_cgroup_rule.clone(),
            cgroup_parent: self.cgroup_parent.clone().unwrap_or_default(),
            ..self.adjustable.resources()
        });
        Ok(())
    }
}
