//! Messages to the engine's types and back.

pub(crate) mod options;

use std::time::SystemTime;

use berth_agent_engine::{ContainerSummary, Exit, Phase, PortSummary, Stream, TerminalSize};
use berth_proto::v1;
use prost_types::Timestamp;
use tonic::Status;

use crate::status::invalid;

pub(crate) use options::{container_options, resources, restart_policy};

/// Reads a terminal's size; what is too large for one becomes the largest.
pub(crate) fn terminal_size(size: v1::TerminalSize) -> TerminalSize {
    let number = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    TerminalSize {
        rows: number(size.rows),
        columns: number(size.columns),
    }
}

/// Reads a time; one that cannot be represented is a mistake of the caller.
pub(crate) fn time(timestamp: Timestamp) -> Result<SystemTime, Status> {
    SystemTime::try_from(timestamp).map_err(|_out_of_range| invalid("time out of range"))
}

/// Returns a name for one of the streams.
pub(crate) fn stream(stream: Stream) -> v1::StreamKind {
    match stream {
        Stream::Stdout => v1::StreamKind::Stdout,
        Stream::Stderr => v1::StreamKind::Stderr,
    }
}

/// Returns the message for an end.
pub(crate) fn exited(exit: Exit) -> v1::Exited {
    v1::Exited {
        code: exit.code,
        oom_killed: exit.oom_killed,
    }
}

/// Returns the message for a line of a list.
pub(crate) fn summary(summary: ContainerSummary) -> v1::ContainerSummary {
    v1::ContainerSummary {
        id: summary.id,
        names: vec![summary.name],
        image: summary.image,
        image_id: summary.image_id,
        command: summary.command,
        created: Some(summary.created.into()),
        state: state(summary.phase).into(),
        status: summary.status,
        ports: summary.ports.into_iter().map(published).collect(),
        labels: summary.labels.into_iter().collect(),
        mounts: summary.mounts,
        networks: summary.networks,
        size_rw_bytes: summary.size_rw,
        size_root_fs_bytes: summary.size_root_fs,
    }
}

fn state(phase: Phase) -> v1::ContainerState {
    match phase {
        Phase::Created => v1::ContainerState::Created,
        Phase::Running => v1::ContainerState::Running,
        Phase::Paused => v1::ContainerState::Paused,
        Phase::Restarting => v1::ContainerState::Restarting,
        Phase::Exited => v1::ContainerState::Exited,
        Phase::Dead => v1::ContainerState::Dead,
        Phase::Removing => v1::ContainerState::Removing,
    }
}

fn published(port: PortSummary) -> v1::PublishedPort {
    v1::PublishedPort {
        host_ip: port.host_ip,
        host_port: port.host_port.into(),
        container_port: port.container_port.into(),
        protocol: port.protocol,
    }
}
