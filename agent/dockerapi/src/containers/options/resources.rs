//! Limits, of new containers and of changes to them.

use berth_agent_engine::{
    ResourceOptions, ThrottleDevice, UlimitOption, UpdateOptions, WeightDevice,
};
use serde::Deserialize;

use crate::error::ApiError;

/// Limits; what is 0 or not there is none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(in crate::containers) struct Resources {
    pub(super) cpu_shares: i64,
    pub(super) memory: i64,
    pub(super) nano_cpus: i64,
    cgroup_parent: String,
    blkio_weight: u16,
    blkio_weight_device: Vec<Weight>,
    blkio_device_read_bps: Vec<Throttle>,
    blkio_device_write_bps: Vec<Throttle>,
    #[serde(rename = "BlkioDeviceReadIOps")]
    blkio_device_read_iops: Vec<Throttle>,
    #[serde(rename = "BlkioDeviceWriteIOps")]
    blkio_device_write_iops: Vec<Throttle>,
    cpu_period: i64,
    cpu_quota: i64,
    cpu_realtime_period: i64,
    cpu_realtime_runtime: i64,
    cpuset_cpus: String,
    cpuset_mems: String,
    devices: Vec<Device>,
    device_cgroup_rules: Vec<String>,
    #[serde(rename = "KernelMemoryTCP")]
    kernel_memory_tcp: i64,
    memory_reservation: i64,
    memory_swap: i64,
    memory_swappiness: Option<i64>,
    oom_kill_disable: Option<bool>,
    pub(super) pids_limit: Option<i64>,
    ulimits: Vec<Ulimit>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Weight {
    path: String,
    weight: u16,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Throttle {
    path: String,
    rate: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Device {
    path_on_host: String,
    path_in_container: String,
    cgroup_permissions: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Ulimit {
    name: String,
    soft: i64,
    hard: i64,
}

impl Resources {
    /// Returns the devices as texts.
    pub(super) fn devices(&self) -> Vec<String> {
        let text = |device: &Device| {
            let mut text = device.path_on_host.clone();
            for part in [&device.path_in_container, &device.cgroup_permissions] {
                if !part.is_empty() {
                    text.push(':');
                    text.push_str(part);
                }
            }
            text
        };
        self.devices.iter().map(text).collect()
    }

    /// Translates limits.
    ///
    /// # Errors
    /// When one makes no sense.
    pub(in crate::containers) fn into_options(self) -> Result<ResourceOptions, ApiError> {
        // What the docker client sends for "as it is".
        let memory_swappiness = self.memory_swappiness.filter(|&percent| percent != -1);
        Ok(ResourceOptions {
            memory_swap_bytes: self.memory_swap,
            memory_reservation_bytes: self.memory_reservation,
            memory_swappiness,
            oom_kill_disable: self.oom_kill_disable,
            cpu_period_micros: self.cpu_period,
            cpu_quota_micros: self.cpu_quota,
            cpu_realtime_period_micros: self.cpu_realtime_period,
            cpu_realtime_runtime_micros: self.cpu_realtime_runtime,
            cpuset_cpus: self.cpuset_cpus,
            cpuset_mems: self.cpuset_mems,
            blkio_weight: self.blkio_weight,
            blkio_weight_device: self.blkio_weight_device.into_iter().map(weight).collect(),
            device_read_bps: throttles(self.blkio_device_read_bps),
            device_write_bps: throttles(self.blkio_device_write_bps),
            device_read_iops: throttles(self.blkio_device_read_iops),
            device_write_iops: throttles(self.blkio_device_write_iops),
            ulimits: self.ulimits.into_iter().map(ulimit).collect(),
            device_cgroup_rules: self.device_cgroup_rules,
            cgroup_parent: self.cgroup_parent,
            kernel_memory_tcp_bytes: self.kernel_memory_tcp,
        })
    }

    /// Translates limits that are to be changed.
    ///
    /// # Errors
    /// When one makes no sense.
    pub(in crate::containers) fn into_update(self) -> Result<UpdateOptions, ApiError> {
        Ok(UpdateOptions {
            memory_bytes: self.memory,
            nano_cpus: self.nano_cpus,
            // Clients that do not want to change it say 0.
            pids_limit: self.pids_limit.filter(|&limit| limit != 0),
            cpu_shares: self.cpu_shares,
            resources: self.into_options()?,
            restart_policy: None,
        })
    }
}

fn weight(device: Weight) -> WeightDevice {
    WeightDevice {
        path: device.path,
        weight: device.weight,
    }
}

fn throttles(devices: Vec<Throttle>) -> Vec<ThrottleDevice> {
    let throttle = |device: Throttle| ThrottleDevice {
        path: device.path,
        rate: device.rate,
    };
    devices.into_iter().map(throttle).collect()
}

fn ulimit(limit: Ulimit) -> UlimitOption {
    UlimitOption {
        name: limit.name,
        soft: limit.soft,
        hard: limit.hard,
    }
}
