//! Messages to the engine's types and back.

use std::time::SystemTime;

use berth_agent_engine::{
    ContainerOptions, ContainerSummary, Exit, HostOptions, Phase, PortBinding, PortSummary, Stream,
    TerminalSize,
};
use berth_proto::v1;
use prost_types::Timestamp;
use tonic::Status;

use crate::status::invalid;

/// Reads the options of a new container.
pub(crate) fn container_options(config: v1::ContainerConfig) -> Result<ContainerOptions, Status> {
    Ok(ContainerOptions {
        image: config.image,
        command: config.command,
        entrypoint: config.entrypoint,
        env: config.env,
        working_dir: config.working_dir,
        user: config.user,
        hostname: config.hostname,
        labels: config.labels.into_iter().collect(),
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        stop_signal: config.stop_signal,
        stop_timeout_seconds: config.stop_timeout_seconds,
        exposed_ports: config.exposed_ports,
        terminal_size: config.console_size.map(terminal_size),
        host: host_options(config.host.unwrap_or_default())?,
    })
}

fn host_options(host: v1::HostConfig) -> Result<HostOptions, Status> {
    Ok(HostOptions {
        binds: host.binds,
        port_bindings: host
            .port_bindings
            .into_iter()
            .map(port_binding)
            .collect::<Result<_, Status>>()?,
        network_mode: host.network_mode,
        auto_remove: host.auto_remove,
        privileged: host.privileged,
        cap_add: host.cap_add,
        cap_drop: host.cap_drop,
        security_opt: host.security_opt,
        read_only_rootfs: host.read_only_rootfs,
        memory_bytes: host.memory_bytes,
        nano_cpus: host.nano_cpus,
        pids_limit: host.pids_limit,
        cpu_shares: host.cpu_shares,
        runtime: host.runtime,
        init: host.init,
        dns: host.dns,
        extra_hosts: host.extra_hosts,
        devices: host.devices,
        tmpfs: host.tmpfs,
        publish_all_ports: host.publish_all_ports,
        shm_size_bytes: host.shm_size_bytes,
    })
}

fn port_binding(binding: v1::PortBinding) -> Result<PortBinding, Status> {
    Ok(PortBinding {
        host_ip: binding.host_ip,
        host_port: port(binding.host_port)?,
        host_port_last: port(binding.host_port_last)?,
        container_port: port(binding.container_port)?,
        protocol: binding.protocol,
    })
}

fn port(number: u32) -> Result<u16, Status> {
    u16::try_from(number).map_err(|_too_large| invalid(format!("invalid port: {number}")))
}

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
