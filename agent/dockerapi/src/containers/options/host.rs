//! The part of a container's description that is about the machine.

use std::collections::BTreeMap;

use berth_agent_engine::{DriverDevices, HostOptions, LogOptions, PortBinding};
use serde::Deserialize;

use super::mount::Mount;
use super::resources::Resources;
use crate::error::ApiError;

/// What concerns the machine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct HostConfig {
    #[serde(flatten)]
    resources: Resources,
    binds: Vec<String>,
    #[serde(rename = "ContainerIDFile")]
    container_id_file: String,
    log_config: LogConfig,
    pub(super) network_mode: String,
    port_bindings: BTreeMap<String, Vec<HostPort>>,
    restart_policy: RestartPolicy,
    auto_remove: bool,
    volume_driver: String,
    volumes_from: Vec<String>,
    pub(super) console_size: [u16; 2],
    annotations: BTreeMap<String, String>,
    cap_add: Vec<String>,
    cap_drop: Vec<String>,
    cgroupns_mode: String,
    dns: Vec<String>,
    dns_options: Vec<String>,
    dns_search: Vec<String>,
    extra_hosts: Vec<String>,
    group_add: Vec<String>,
    ipc_mode: String,
    links: Vec<String>,
    oom_score_adj: i32,
    pid_mode: String,
    privileged: bool,
    publish_all_ports: bool,
    readonly_rootfs: bool,
    security_opt: Vec<String>,
    storage_opt: BTreeMap<String, String>,
    tmpfs: BTreeMap<String, String>,
    #[serde(rename = "UTSMode")]
    uts_mode: String,
    userns_mode: String,
    shm_size: i64,
    sysctls: BTreeMap<String, String>,
    runtime: String,
    isolation: String,
    mounts: Vec<Mount>,
    masked_paths: Option<Vec<String>>,
    readonly_paths: Option<Vec<String>>,
    init: Option<bool>,
    device_requests: Vec<DeviceRequest>,
}

/// Where the output goes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct LogConfig {
    #[serde(rename = "Type")]
    kind: String,
    config: BTreeMap<String, String>,
}

/// When a container is started again.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(in crate::containers) struct RestartPolicy {
    name: String,
    maximum_retry_count: i64,
}

/// A port of the machine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct HostPort {
    host_ip: String,
    host_port: String,
}

/// Devices that a driver chooses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct DeviceRequest {
    driver: String,
    count: i64,
    #[serde(rename = "DeviceIDs")]
    device_ids: Vec<String>,
    capabilities: Vec<Vec<String>>,
    options: BTreeMap<String, String>,
}

impl HostConfig {
    pub(super) fn into_options(self) -> Result<HostOptions, ApiError> {
        let ports = bindings(self.port_bindings)?;
        let devices = self.resources.devices();
        let (memory_bytes, nano_cpus) = (self.resources.memory, self.resources.nano_cpus);
        let (pids_limit, cpu_shares) = (self.resources.pids_limit, self.resources.cpu_shares);
        let tmpfs = self
            .tmpfs
            .into_iter()
            .map(|(target, options)| match options.as_str() {
                "" => target,
                options => format!("{target}:{options}"),
            });
        Ok(HostOptions {
            binds: self.binds,
            port_bindings: ports,
            network_mode: self.network_mode,
            auto_remove: self.auto_remove,
            privileged: self.privileged,
            cap_add: self.cap_add,
            cap_drop: self.cap_drop,
            security_opt: self.security_opt,
            read_only_rootfs: self.readonly_rootfs,
            memory_bytes,
            nano_cpus,
            pids_limit: pids_limit.unwrap_or_default(),
            cpu_shares,
            runtime: self.runtime,
            init: self.init,
            dns: self.dns,
            extra_hosts: self.extra_hosts,
            devices,
            tmpfs: tmpfs.collect(),
            publish_all_ports: self.publish_all_ports,
            shm_size_bytes: self.shm_size,
            resources: self.resources.into_options()?,
            restart_policy: self.restart_policy.into_options(),
            group_add: self.group_add,
            userns_mode: self.userns_mode,
            pid_mode: self.pid_mode,
            ipc_mode: self.ipc_mode,
            uts_mode: self.uts_mode,
            cgroupns_mode: self.cgroupns_mode,
            dns_options: self.dns_options,
            dns_search: self.dns_search,
            links: self.links,
            volumes_from: self.volumes_from,
            mounts: self.mounts.into_iter().map(Mount::into_options).collect(),
            sysctls: self.sysctls,
            log: LogOptions {
                driver: self.log_config.kind,
                options: self.log_config.config,
            },
            oom_score_adj: self.oom_score_adj,
            annotations: self.annotations,
            masked_paths: self.masked_paths,
            readonly_paths: self.readonly_paths,
            volume_driver: self.volume_driver,
            storage_opt: self.storage_opt,
            isolation: self.isolation,
            device_requests: self
                .device_requests
                .into_iter()
                .map(DeviceRequest::into_options)
                .collect(),
            container_id_file: self.container_id_file,
        })
    }
}

impl RestartPolicy {
    pub(in crate::containers) fn into_options(self) -> berth_agent_engine::RestartPolicy {
        berth_agent_engine::RestartPolicy {
            name: self.name,
            maximum_retry_count: self.maximum_retry_count,
        }
    }
}

impl DeviceRequest {
    fn into_options(self) -> DriverDevices {
        DriverDevices {
            driver: self.driver,
            count: self.count,
            device_ids: self.device_ids,
            capabilities: self.capabilities.into_iter().flatten().collect(),
            options: self.options,
        }
    }
}

fn bindings(all: BTreeMap<String, Vec<HostPort>>) -> Result<Vec<PortBinding>, ApiError> {
    let mut found = Vec::new();
    for (port, places) in all {
        let (number, protocol) = port.split_once('/').unwrap_or((&port, "tcp"));
        let wrong = || ApiError::bad_request(format!("invalid port specification: {port:?}"));
        let container_port: u16 = number.parse().map_err(|_no_port| wrong())?;
        for place in places {
            let (host_port, host_port_last) = range(&place.host_port)?;
            found.push(PortBinding {
                host_ip: place.host_ip.clone(),
                host_port,
                host_port_last,
                container_port,
                protocol: protocol.to_lowercase(),
            });
        }
    }
    Ok(found)
}

/// Reads a port, or the first and last one of a range.
fn range(text: &str) -> Result<(u16, u16), ApiError> {
    let wrong = || ApiError::bad_request(format!("invalid port specification: {text:?}"));
    let number = |text: &str| match text {
        "" => Ok(0),
        text => text.parse().map_err(|_no_port| wrong()),
    };
    match text.split_once('-') {
        Some((first, last)) => Ok((number(first)?, number(last)?)),
        None => Ok((number(text)?, 0)),
    }
}
