//! Options of containers, from their messages.

use berth_agent_engine::{
    ContainerOptions, DriverDevices, EndpointOptions, HealthOptions, HostOptions, LogOptions,
    MountOptions, PortBinding, ResourceOptions, RestartPolicy, ThrottleDevice, UlimitOption,
    WeightDevice,
};
use berth_proto::v1;
use tonic::Status;

use super::terminal_size;
use crate::status::invalid;

/// Reads the options of a new container.
pub(crate) fn container_options(
    config: v1::ContainerConfig,
    platform: String,
) -> Result<ContainerOptions, Status> {
    Ok(ContainerOptions {
        image: config.image,
        command: config.command,
        entrypoint: config.entrypoint,
        env: config.env,
        working_dir: config.working_dir,
        user: config.user,
        hostname: config.hostname,
        domainname: config.domainname,
        labels: config.labels.into_iter().collect(),
        tty: config.tty,
        open_stdin: config.open_stdin,
        stdin_once: config.stdin_once,
        attach_stdin: config.attach_stdin,
        attach_stdout: config.attach_stdout,
        attach_stderr: config.attach_stderr,
        stop_signal: config.stop_signal,
        stop_timeout_seconds: config.stop_timeout_seconds,
        exposed_ports: config.exposed_ports,
        volumes: config.volumes,
        healthcheck: config.healthcheck.map(health),
        mac_address: config.mac_address,
        network_disabled: config.network_disabled,
        networks: config.networks.into_iter().map(endpoint).collect(),
        shell: config.shell,
        platform,
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
        resources: resources(host.resources.unwrap_or_default())?,
        restart_policy: restart_policy(host.restart_policy.unwrap_or_default()),
        group_add: host.group_add,
        userns_mode: host.userns_mode,
        pid_mode: host.pid_mode,
        ipc_mode: host.ipc_mode,
        uts_mode: host.uts_mode,
        cgroupns_mode: host.cgroupns_mode,
        dns_options: host.dns_options,
        dns_search: host.dns_search,
        links: host.links,
        volumes_from: host.volumes_from,
        mounts: host.mounts.into_iter().map(mount).collect(),
        sysctls: host.sysctls.into_iter().collect(),
        log: log(host.log.unwrap_or_default()),
        oom_score_adj: host.oom_score_adj,
        annotations: host.annotations.into_iter().collect(),
        masked_paths: host.masked_paths.map(|list| list.paths),
        readonly_paths: host.readonly_paths.map(|list| list.paths),
        volume_driver: host.volume_driver,
        storage_opt: host.storage_opt.into_iter().collect(),
        isolation: host.isolation,
        device_requests: host.device_requests.into_iter().map(devices).collect(),
        container_id_file: host.container_id_file,
    })
}

/// Reads a health check.
fn health(check: v1::HealthConfig) -> HealthOptions {
    HealthOptions {
        test: check.test,
        interval_nanos: check.interval_nanos,
        timeout_nanos: check.timeout_nanos,
        start_period_nanos: check.start_period_nanos,
        start_interval_nanos: check.start_interval_nanos,
        retries: check.retries,
    }
}

/// Reads a restart policy.
pub(crate) fn restart_policy(policy: v1::RestartPolicy) -> RestartPolicy {
    RestartPolicy {
        name: policy.name,
        maximum_retry_count: policy.maximum_retry_count,
    }
}

/// Reads limits.
pub(crate) fn resources(limits: v1::Resources) -> Result<ResourceOptions, Status> {
    let throttles = |devices: Vec<v1::ThrottleDevice>| {
        devices
            .into_iter()
            .map(|device| ThrottleDevice {
                path: device.path,
                rate: device.rate,
            })
            .collect()
    };
    Ok(ResourceOptions {
        memory_swap_bytes: limits.memory_swap_bytes,
        memory_reservation_bytes: limits.memory_reservation_bytes,
        memory_swappiness: limits.memory_swappiness,
        oom_kill_disable: limits.oom_kill_disable,
        cpu_period_micros: limits.cpu_period_micros,
        cpu_quota_micros: limits.cpu_quota_micros,
        cpu_realtime_period_micros: limits.cpu_realtime_period_micros,
        cpu_realtime_runtime_micros: limits.cpu_realtime_runtime_micros,
        cpuset_cpus: limits.cpuset_cpus,
        cpuset_mems: limits.cpuset_mems,
        blkio_weight: weight(limits.blkio_weight)?,
        blkio_weight_device: limits
            .blkio_weight_device
            .into_iter()
            .map(|device| {
                Ok(WeightDevice {
                    path: device.path,
                    weight: weight(device.weight)?,
                })
            })
            .collect::<Result<_, Status>>()?,
        device_read_bps: throttles(limits.device_read_bps),
        device_write_bps: throttles(limits.device_write_bps),
        device_read_iops: throttles(limits.device_read_iops),
        device_write_iops: throttles(limits.device_write_iops),
        ulimits: limits
            .ulimits
            .into_iter()
            .map(|limit| UlimitOption {
                name: limit.name,
                soft: limit.soft,
                hard: limit.hard,
            })
            .collect(),
        device_cgroup_rules: limits.device_cgroup_rules,
        cgroup_parent: limits.cgroup_parent,
        kernel_memory_tcp_bytes: limits.kernel_memory_tcp_bytes,
    })
}

fn weight(number: u32) -> Result<u16, Status> {
    u16::try_from(number)
        .map_err(|_too_large| invalid("Range of blkio weight is from 10 to 1000".to_owned()))
}

pub(crate) fn endpoint(endpoint: v1::EndpointConfig) -> EndpointOptions {
    EndpointOptions {
        network: endpoint.network,
        aliases: endpoint.aliases,
        ipv4_address: endpoint.ipv4_address,
        ipv6_address: endpoint.ipv6_address,
        mac_address: endpoint.mac_address,
        links: endpoint.links,
        driver_opts: endpoint.driver_opts.into_iter().collect(),
        link_local_ips: endpoint.link_local_ips,
        gw_priority: endpoint.gw_priority,
    }
}

fn mount(mount: v1::Mount) -> MountOptions {
    MountOptions {
        kind: mount.r#type,
        source: mount.source,
        target: mount.target,
        read_only: mount.read_only,
        consistency: mount.consistency,
        bind_propagation: mount.bind_propagation,
        bind_non_recursive: mount.bind_non_recursive,
        bind_create_mountpoint: mount.bind_create_mountpoint,
        bind_read_only_non_recursive: mount.bind_read_only_non_recursive,
        bind_read_only_force_recursive: mount.bind_read_only_force_recursive,
        volume_no_copy: mount.volume_no_copy,
        volume_labels: mount.volume_labels.into_iter().collect(),
        volume_driver: mount.volume_driver,
        volume_driver_options: mount.volume_driver_options.into_iter().collect(),
        volume_subpath: mount.volume_subpath,
        tmpfs_size_bytes: mount.tmpfs_size_bytes,
        tmpfs_mode: mount.tmpfs_mode,
    }
}

fn log(log: v1::LogConfig) -> LogOptions {
    LogOptions {
        driver: log.driver,
        options: log.options.into_iter().collect(),
    }
}

fn devices(request: v1::DeviceRequest) -> DriverDevices {
    DriverDevices {
        driver: request.driver,
        count: request.count,
        device_ids: request.device_ids,
        capabilities: request.capabilities,
        options: request.options.into_iter().collect(),
    }
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
