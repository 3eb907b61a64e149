//! The stream of what containers use.

use std::sync::Arc;

use berth_agent_engine::counters::{DeviceCounters, InterfaceCounters};
use berth_agent_engine::{ContainerStats, Engine, Sample, Stats, StatsOptions};
use berth_proto::v1;
use futures::{Stream, stream};
use tonic::Status;

use crate::status;

/// Begins to read counters.
pub(super) fn stats(
    engine: &Arc<Engine>,
    request: v1::StatsRequest,
) -> Result<impl Stream<Item = Result<v1::StatsResponse, Status>> + use<>, Status> {
    let options = StatsOptions {
        containers: request.containers,
        no_stream: request.no_stream,
        all: request.all,
        one_shot: request.one_shot,
    };
    let stats = engine.stats(options).map_err(|e| status::of(&e))?;
    Ok(stream::unfold(stats, |mut stats: Stats| async move {
        let containers = stats.next().await?.into_iter().map(container).collect();
        Some((Ok(v1::StatsResponse { containers }), stats))
    }))
}

fn container(stats: ContainerStats) -> v1::ContainerStats {
    let ContainerStats {
        id,
        name,
        running,
        sample,
        previous,
    } = stats;
    let cpu_now = cpu(&sample);
    let Sample { read, counters, .. } = sample;
    let memory = v1::MemoryStats {
        usage_bytes: counters.memory.usage_bytes,
        max_usage_bytes: counters.memory.max_usage_bytes,
        limit_bytes: counters.memory.limit_bytes,
        failures: counters.memory.failures,
        details: counters.memory.details.into_iter().collect(),
    };
    v1::ContainerStats {
        id,
        name,
        read: Some(read.into()),
        previous_read: previous.as_ref().map(|sample| sample.read.into()),
        cpu: Some(cpu_now),
        previous_cpu: previous.as_ref().map(cpu),
        memory: Some(memory),
        block_io: counters.storage.iter().map(device).collect(),
        pids: counters.pids,
        pids_limit: counters.pids_limit,
        interfaces: counters.interfaces.into_iter().map(interface).collect(),
        running,
    }
}

fn cpu(sample: &Sample) -> v1::CpuStats {
    let cpu = &sample.counters.cpu;
    v1::CpuStats {
        usage_nanos: cpu.usage_nanos,
        user_nanos: cpu.user_nanos,
        kernel_nanos: cpu.kernel_nanos,
        system_nanos: sample.machine.nanos,
        online_cpus: sample.machine.cpus,
        periods: cpu.periods,
        throttled_periods: cpu.throttled_periods,
        throttled_nanos: cpu.throttled_nanos,
        per_cpu_nanos: cpu.per_cpu_nanos.clone(),
    }
}

fn device(device: &DeviceCounters) -> v1::BlockIo {
    v1::BlockIo {
        major: device.major,
        minor: device.minor,
        read_bytes: device.read_bytes,
        write_bytes: device.write_bytes,
        reads: device.reads,
        writes: device.writes,
    }
}

fn interface(interface: InterfaceCounters) -> v1::InterfaceStats {
    let InterfaceCounters {
        name,
        received,
        sent,
    } = interface;
    v1::InterfaceStats {
        name,
        rx_bytes: received.bytes,
        rx_packets: received.packets,
        rx_errors: received.errors,
        rx_dropped: received.dropped,
        tx_bytes: sent.bytes,
        tx_packets: sent.packets,
        tx_errors: sent.errors,
        tx_dropped: sent.dropped,
    }
}
