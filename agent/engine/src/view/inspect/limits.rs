//! The part of `HostConfig` that limits the container.

use serde_json::{Value, json};

use super::{add, nullable};
use crate::options::{DriverDevices, HostOptions, ThrottleDevice};

pub(super) fn limits(host: &HostOptions) -> Value {
    let more = &host.resources;
    let weights: Vec<Value> = more
        .blkio_weight_device
        .iter()
        .map(|device| json!({ "Path": device.path, "Weight": device.weight }))
        .collect();
    let ulimits: Vec<Value> = more
        .ulimits
        .iter()
        .map(|limit| json!({ "Name": limit.name, "Hard": limit.hard, "Soft": limit.soft }))
        .collect();
    let requests: Vec<Value> = host.device_requests.iter().map(request).collect();
    let mut value = json!({
        "CpuShares": host.cpu_shares,
        "Memory": host.memory_bytes,
        "NanoCpus": host.nano_cpus,
        "CgroupParent": more.cgroup_parent,
        "BlkioWeight": more.blkio_weight,
        "BlkioWeightDevice": weights,
        "BlkioDeviceReadBps": throttles(&more.device_read_bps),
        "BlkioDeviceWriteBps": throttles(&more.device_write_bps),
        "BlkioDeviceReadIOps": throttles(&more.device_read_iops),
        "BlkioDeviceWriteIOps": throttles(&more.device_write_iops),
        "CpuPeriod": more.cpu_period_micros,
        "CpuQuota": more.cpu_quota_micros,
        "CpuRealtimePeriod": more.cpu_realtime_period_micros,
        "CpuRealtimeRuntime": more.cpu_realtime_runtime_micros,
        "CpusetCpus": more.cpuset_cpus,
        "CpusetMems": more.cpuset_mems,
        "Devices": devices(host),
        "DeviceCgroupRules": nullable(&more.device_cgroup_rules),
        "DeviceRequests": nullable(&requests),
        "MemoryReservation": more.memory_reservation_bytes,
        "MemorySwap": more.memory_swap_bytes,
        "MemorySwappiness": more.memory_swappiness,
        "OomKillDisable": more.oom_kill_disable,
        "PidsLimit": if host.pids_limit == 0 { Value::Null } else { json!(host.pids_limit) },
        "Ulimits": ulimits,
        // Of other systems.
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    });
    let tcp = more.kernel_memory_tcp_bytes;
    add(&mut value, "KernelMemoryTCP", tcp != 0, json!(tcp));
    value
}

fn throttles(devices: &[ThrottleDevice]) -> Value {
    let one = |device: &ThrottleDevice| json!({ "Path": device.path, "Rate": device.rate });
    devices.iter().map(one).collect()
}

fn request(request: &DriverDevices) -> Value {
    json!({
        "Driver": request.driver,
        "Count": request.count,
        "DeviceIDs": nullable(&request.device_ids),
        "Capabilities": [request.capabilities],
        "Options": request.options,
    })
}

fn devices(host: &HostOptions) -> Value {
    let device = |text: &String| {
        let mut parts = text.split(':');
        let path = parts.next().unwrap_or_default();
        json!({
            "PathOnHost": path,
            "PathInContainer": parts.next().unwrap_or(path),
            "CgroupPermissions": parts.next().unwrap_or("rwm"),
        })
    };
    host.devices.iter().map(device).collect()
}
