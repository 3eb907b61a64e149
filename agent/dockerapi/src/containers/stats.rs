//! What containers use.

use std::collections::BTreeMap;

use berth_agent_engine::counters::{Counters, InterfaceCounters};
use berth_agent_engine::{ContainerStats, Sample, Stats, StatsOptions};
use futures::stream;
use http::Response;
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::moment;
use crate::streams::lines;

/// Counters of one container.
#[derive(Debug, Serialize)]
struct Object {
    name: String,
    id: String,
    read: String,
    preread: String,
    pids_stats: Value,
    blkio_stats: Value,
    num_procs: u32,
    storage_stats: Value,
    cpu_stats: Value,
    precpu_stats: Value,
    memory_stats: Value,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    networks: BTreeMap<String, Value>,
}

/// Answers with counters, every second or once.
pub(super) fn stats(api: &Api, call: &Call, name: &str) -> Result<Response<Body>, ApiError> {
    let goes_on = call.query.is_true_or("stream", true);
    let one_shot = call.version.since(41) && call.query.is_true("one-shot");
    if goes_on && one_shot {
        let sentence = "cannot have stream=true and one-shot=true";
        return Err(ApiError::bad_request(sentence));
    }
    let stats = api.engine().stats(StatsOptions {
        containers: vec![name.to_owned()],
        no_stream: !goes_on,
        all: true,
        one_shot,
    })?;
    let objects = stream::unfold(stats, |mut stats: Stats| async move {
        let container = stats.next().await?.into_iter().next()?;
        Some((object(container), stats))
    });
    Ok(lines::answer(objects))
}

fn object(stats: ContainerStats) -> Object {
    let ContainerStats {
        id,
        name,
        running,
        sample,
        previous,
    } = stats;
    let read = |sample: &Sample| {
        if running {
            moment::rfc3339(sample.read)
        } else {
            moment::NEVER.to_owned()
        }
    };
    let counters = &sample.counters;
    Object {
        name: format!("/{name}"),
        id,
        read: read(&sample),
        preread: previous
            .as_ref()
            .map_or_else(|| moment::NEVER.to_owned(), read),
        pids_stats: pids(counters),
        blkio_stats: block_io(counters),
        num_procs: 0,
        storage_stats: json!({}),
        cpu_stats: cpu(&sample, running),
        precpu_stats: previous
            .as_ref()
            .map_or_else(no_cpu, |sample| cpu(sample, running)),
        memory_stats: memory(counters, running),
        networks: counters.interfaces.iter().map(network).collect(),
    }
}

fn pids(counters: &Counters) -> Value {
    let mut object = json!({});
    if counters.pids > 0 {
        object["current"] = json!(counters.pids);
    }
    if counters.pids_limit > 0 {
        object["limit"] = json!(counters.pids_limit);
    }
    object
}

fn cpu(sample: &Sample, running: bool) -> Value {
    if !running {
        return no_cpu();
    }
    let cpu = &sample.counters.cpu;
    let mut usage = json!({
        "total_usage": cpu.usage_nanos,
        "usage_in_kernelmode": cpu.kernel_nanos,
        "usage_in_usermode": cpu.user_nanos,
    });
    if !cpu.per_cpu_nanos.is_empty() {
        usage["percpu_usage"] = json!(cpu.per_cpu_nanos);
    }
    json!({
        "cpu_usage": usage,
        "system_cpu_usage": sample.machine.nanos,
        "online_cpus": sample.machine.cpus,
        "throttling_data": {
            "periods": cpu.periods,
            "throttled_periods": cpu.throttled_periods,
            "throttled_time": cpu.throttled_nanos,
        },
    })
}

/// Of a container that does not run, and before the first sample.
fn no_cpu() -> Value {
    json!({
        "cpu_usage": { "total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0 },
        "throttling_data": { "periods": 0, "throttled_periods": 0, "throttled_time": 0 },
    })
}

fn memory(counters: &Counters, running: bool) -> Value {
    if !running {
        return json!({});
    }
    let memory = &counters.memory;
    let details: BTreeMap<&str, u64> = memory
        .details
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    let mut object = json!({
        "usage": memory.usage_bytes,
        "stats": details,
        "limit": memory.limit_bytes,
    });
    // Only cgroup v1 counts these.
    for (key, number) in [
        ("max_usage", memory.max_usage_bytes),
        ("failcnt", memory.failures),
    ] {
        if number > 0 {
            object[key] = json!(number);
        }
    }
    object
}

fn block_io(counters: &Counters) -> Value {
    let entries = |read: fn(&berth_agent_engine::counters::DeviceCounters) -> (u64, u64)| {
        let mut list = Vec::new();
        for device in &counters.storage {
            let (reads, writes) = read(device);
            for (op, value) in [("read", reads), ("write", writes)] {
                list.push(json!({
                    "major": device.major,
                    "minor": device.minor,
                    "op": op,
                    "value": value,
                }));
            }
        }
        if list.is_empty() {
            Value::Null
        } else {
            Value::Array(list)
        }
    };
    json!({
        "io_service_bytes_recursive": entries(|device| (device.read_bytes, device.write_bytes)),
        "io_serviced_recursive": entries(|device| (device.reads, device.writes)),
        "io_queue_recursive": null,
        "io_service_time_recursive": null,
        "io_wait_time_recursive": null,
        "io_merged_recursive": null,
        "io_time_recursive": null,
        "sectors_recursive": null,
    })
}

fn network(interface: &InterfaceCounters) -> (String, Value) {
    let (received, sent) = (&interface.received, &interface.sent);
    let object = json!({
        "rx_bytes": received.bytes,
        "rx_packets": received.packets,
        "rx_errors": received.errors,
        "rx_dropped": received.dropped,
        "tx_bytes": sent.bytes,
        "tx_packets": sent.packets,
        "tx_errors": sent.errors,
        "tx_dropped": sent.dropped,
    });
    (interface.name.clone(), object)
}
