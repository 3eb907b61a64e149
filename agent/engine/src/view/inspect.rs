//! Everything about one container, as the object that `docker inspect` prints.

use serde_json::{Map, Value, json};

use crate::Engine;
use crate::container::containers::LookupError;
use crate::container::health::{Health, HealthResult};
use crate::container::record::{ContainerRecord, MountKind, MountRecord, PublishedRecord};
use crate::container::status::{Phase, Status};
use crate::create::merge::with_protocol;
use crate::options::HostOptions;
use crate::spec;
use crate::view::human::rfc3339;
use crate::view::info::OWN_RUNTIME;
use crate::view::list::network_name;

impl Engine {
    /// Returns the object for a container.
    ///
    /// # Errors
    /// When there is no such container.
    pub fn inspect(&self, name: &str, with_size: bool) -> Result<Value, LookupError> {
        let record = self.containers.find(name)?.record();
        let mut object = self.container_object(&record);
        if with_size {
            let (own, all) = self.sizes(&record);
            object.insert("SizeRw".to_owned(), json!(own));
            object.insert("SizeRootFs".to_owned(), json!(all));
        }
        Ok(Value::Object(object))
    }

    fn container_object(&self, record: &ContainerRecord) -> Map<String, Value> {
        let folder = self.paths.container(&record.id);
        let argv = record.argv();
        let (path, arguments) = argv
            .split_first()
            .map_or(("", &[][..]), |(p, a)| (p.as_str(), a));
        let value = json!({
            "Id": record.id.as_str(),
            "Created": rfc3339(Some(record.created)),
            "Path": path,
            "Args": arguments,
            "State": state(&record.status),
            "Image": record.image_id,
            "ResolvConfPath": folder.join("resolv.conf"),
            "HostnamePath": folder.join("hostname"),
            "HostsPath": folder.join("hosts"),
            "LogPath": folder.join("container.log"),
            "Name": format!("/{}", record.name),
            "RestartCount": record.restart.count,
            "Driver": "overlayfs",
            "Platform": "linux",
            "MountLabel": "",
            "ProcessLabel": "",
            "AppArmorProfile": "",
            "ExecIDs": null,
            "HostConfig": merged(self.host_config(record), limits(&record.host, devices(record))),
            "GraphDriver": self.graph_driver(record),
            "Mounts": record.mounts.iter().map(mount).collect::<Vec<_>>(),
            "Config": config(record),
            "NetworkSettings": network_settings(record),
        });
        match value {
            Value::Object(object) => object,
            _ => Map::new(),
        }
    }

    fn graph_driver(&self, record: &ContainerRecord) -> Value {
        let Ok(prepared) = self.snapshots.resume(record.id.as_str()) else {
            return json!({ "Name": "overlayfs", "Data": null });
        };
        let lower: Vec<String> = prepared
            .lower
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        json!({
            "Name": "overlayfs",
            "Data": {
                "LowerDir": lower.join(":"),
                "UpperDir": prepared.upper,
                "WorkDir": prepared.work,
            },
        })
    }

    fn host_config(&self, record: &ContainerRecord) -> Value {
        let host = &record.host;
        let network = if host.network_mode.is_empty() {
            "default"
        } else {
            &host.network_mode
        };
        let runtime = match (host.runtime.as_str(), self.config.default_runtime.as_str()) {
            ("", "") => OWN_RUNTIME,
            ("", default) => default,
            (own, _) => own,
        };
        let paths = |list: Vec<String>| {
            if host.privileged {
                Value::Null
            } else {
                json!(list)
            }
        };
        json!({
            "Binds": nullable(&host.binds),
            "ContainerIDFile": "",
            "LogConfig": { "Type": "json-file", "Config": {} },
            "NetworkMode": network,
            "PortBindings": port_bindings(record),
            "RestartPolicy": restart_policy(host),
            "AutoRemove": host.auto_remove,
            "VolumeDriver": "",
            "VolumesFrom": null,
            "ConsoleSize": record.config.terminal_size.map_or([0, 0], |s| [s.rows, s.columns]),
            "CapAdd": nullable(&host.cap_add),
            "CapDrop": nullable(&host.cap_drop),
            "CgroupnsMode": if self.unified_cgroups { "private" } else { "host" },
            "Dns": host.dns,
            "DnsOptions": [],
            "DnsSearch": [],
            "ExtraHosts": nullable(&host.extra_hosts),
            "GroupAdd": null,
            "IpcMode": "private",
            "Cgroup": "",
            "Links": null,
            "OomScoreAdj": 0,
            "PidMode": "",
            "Privileged": host.privileged,
            "PublishAllPorts": host.publish_all_ports,
            "ReadonlyRootfs": host.read_only_rootfs,
            "SecurityOpt": nullable(&host.security_opt),
            "Tmpfs": tmpfs(record),
            "UTSMode": "",
            "UsernsMode": "",
            "ShmSize": host.shm_size(),
            "Runtime": runtime,
            "Isolation": "",
            "Init": host.init,
            "MaskedPaths": paths(spec::masked_paths()),
            "ReadonlyPaths": paths(spec::read_only_paths()),
        })
    }
}

/// The part of `HostConfig` that limits the container.
fn limits(host: &HostOptions, devices: Value) -> Value {
    json!({
        "CpuShares": host.cpu_shares,
        "Memory": host.memory_bytes,
        "NanoCpus": host.nano_cpus,
        "CgroupParent": "",
        "CpuPeriod": 0,
        "CpuQuota": 0,
        "CpusetCpus": "",
        "CpusetMems": "",
        "Devices": devices,
        "DeviceCgroupRules": null,
        "MemoryReservation": 0,
        "MemorySwap": host.memory_bytes.saturating_mul(2),
        "MemorySwappiness": null,
        "OomKillDisable": null,
        "PidsLimit": if host.pids_limit > 0 { json!(host.pids_limit) } else { Value::Null },
        "Ulimits": [],
    })
}

fn merged(mut first: Value, second: Value) -> Value {
    if let (Value::Object(first), Value::Object(second)) = (&mut first, second) {
        first.extend(second);
    }
    first
}

fn nullable(list: &[String]) -> Value {
    if list.is_empty() {
        Value::Null
    } else {
        json!(list)
    }
}

fn state(status: &Status) -> Value {
    let phase = status.phase;
    let mut value = json!({
        "Status": phase.word(),
        "Running": phase.is_alive(),
        "Paused": phase == Phase::Paused,
        "Restarting": phase == Phase::Restarting,
        "OOMKilled": status.exit.oom_killed,
        "Dead": phase == Phase::Dead,
        "Pid": status.pid.unwrap_or_default(),
        "ExitCode": if phase.has_process() { 0 } else { status.exit.code },
        "Error": status.error,
        "StartedAt": rfc3339(status.started_at),
        "FinishedAt": rfc3339(status.finished_at),
    });
    if let (Value::Object(object), Some(health)) = (&mut value, &status.health) {
        object.insert("Health".to_owned(), health_object(health));
    }
    value
}

fn health_object(health: &Health) -> Value {
    let result = |result: &HealthResult| {
        json!({
            "Start": rfc3339(Some(result.start)),
            "End": rfc3339(Some(result.end)),
            "ExitCode": result.exit_code,
            "Output": result.output,
        })
    };
    json!({
        "Status": health.status.word(),
        "FailingStreak": health.failing_streak,
        "Log": health.log.iter().map(result).collect::<Vec<_>>(),
    })
}

fn restart_policy(host: &HostOptions) -> Value {
    let policy = &host.restart_policy;
    let name = if policy.name.is_empty() {
        "no"
    } else {
        &policy.name
    };
    json!({ "Name": name, "MaximumRetryCount": policy.maximum_retry_count })
}

fn mount(mount: &MountRecord) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    match &mount.kind {
        MountKind::Bind => put("Type", json!("bind")),
        MountKind::Volume { name, .. } => {
            put("Type", json!("volume"));
            put("Name", json!(name))
        }
    };
    put("Source", json!(mount.source));
    put("Destination", json!(mount.target));
    if matches!(mount.kind, MountKind::Volume { .. }) {
        put("Driver", json!("local"));
    }
    put("Mode", json!(mount.mode));
    put("RW", json!(!mount.read_only));
    let default = if mount.kind == MountKind::Bind {
        "rprivate"
    } else {
        ""
    };
    let propagation = if mount.propagation.is_empty() {
        default
    } else {
        mount.propagation.as_str()
    };
    put("Propagation", json!(propagation));
    Value::Object(object)
}

fn config(record: &ContainerRecord) -> Value {
    let config = &record.config;
    let list = |words: &[String]| nullable(words);
    let set = |keys: &[String]| {
        if keys.is_empty() {
            return Value::Null;
        }
        Value::Object(keys.iter().map(|key| (key.clone(), json!({}))).collect())
    };
    let mut value = json!({
        "Hostname": config.hostname,
        "Domainname": "",
        "User": config.user,
        "AttachStdin": config.stdin_once,
        "AttachStdout": true,
        "AttachStderr": true,
        "Tty": config.tty,
        "OpenStdin": config.open_stdin,
        "StdinOnce": config.stdin_once,
        "Env": config.env,
        "Cmd": list(&config.command),
        "Image": record.image,
        "Volumes": set(&config.volumes),
        "WorkingDir": config.working_dir,
        "Entrypoint": list(&config.entrypoint),
        "OnBuild": null,
        "Labels": config.labels,
    });
    if let Value::Object(object) = &mut value {
        if !config.exposed_ports.is_empty() {
            object.insert("ExposedPorts".to_owned(), set(&config.exposed_ports));
        }
        if !config.stop_signal.is_empty() {
            object.insert("StopSignal".to_owned(), json!(config.stop_signal));
        }
        if let Some(seconds) = config.stop_timeout_seconds {
            object.insert("StopTimeout".to_owned(), json!(seconds));
        }
    }
    value
}

fn port_bindings(record: &ContainerRecord) -> Value {
    let mut bindings: Map<String, Value> = Map::new();
    for binding in &record.host.port_bindings {
        let protocol = if binding.protocol.is_empty() {
            "tcp"
        } else {
            &binding.protocol
        };
        let host_port = match (binding.host_port, binding.host_port_last) {
            (0, _) => String::new(),
            (first, 0) => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        let entry = json!({ "HostIp": binding.host_ip, "HostPort": host_port });
        push(
            &mut bindings,
            format!("{}/{protocol}", binding.container_port),
            entry,
        );
    }
    Value::Object(bindings)
}

fn push(map: &mut Map<String, Value>, key: String, entry: Value) {
    match map.entry(key).or_insert_with(|| json!([])) {
        Value::Array(list) => list.push(entry),
        other => *other = json!([entry]),
    }
}

fn tmpfs(record: &ContainerRecord) -> Value {
    if record.host.tmpfs.is_empty() {
        return Value::Null;
    }
    let entry = |text: &String| {
        let (target, options) = text.split_once(':').unwrap_or((text, ""));
        (target.to_owned(), json!(options))
    };
    Value::Object(record.host.tmpfs.iter().map(entry).collect())
}

fn devices(record: &ContainerRecord) -> Value {
    let device = |text: &String| {
        let mut parts = text.split(':');
        let host = parts.next().unwrap_or_default();
        json!({
            "PathOnHost": host,
            "PathInContainer": parts.next().unwrap_or(host),
            "CgroupPermissions": parts.next().unwrap_or("rwm"),
        })
    };
    json!(record.host.devices.iter().map(device).collect::<Vec<_>>())
}

fn network_settings(record: &ContainerRecord) -> Value {
    let network = record.network.clone().unwrap_or_default();
    let mut ports: Map<String, Value> = Map::new();
    if record.status.phase.is_alive() {
        for port in &record.config.exposed_ports {
            ports.insert(with_protocol(port), Value::Null);
        }
    }
    for PublishedRecord {
        host_ip,
        host_port,
        container_port,
        protocol,
    } in &network.ports
    {
        let entry = json!({ "HostIp": host_ip, "HostPort": host_port.to_string() });
        push(&mut ports, format!("{container_port}/{protocol}"), entry);
    }
    let endpoint = json!({
        "IPAMConfig": null,
        "Links": null,
        "Aliases": null,
        "MacAddress": network.mac,
        "DriverOpts": null,
        "GwPriority": 0,
        "NetworkID": "",
        "EndpointID": "",
        "Gateway": network.gateway,
        "IPAddress": network.ip,
        "IPPrefixLen": network.prefix,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": null,
    });
    let networks: Map<String, Value> = [(network_name(record).to_owned(), endpoint)]
        .into_iter()
        .collect();
    json!({
        "Bridge": "",
        "SandboxID": "",
        "SandboxKey": "",
        "Ports": ports,
        "HairpinMode": false,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": null,
        "SecondaryIPv6Addresses": null,
        "EndpointID": "",
        "Gateway": network.gateway,
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "IPAddress": network.ip,
        "IPPrefixLen": network.prefix,
        "IPv6Gateway": "",
        "MacAddress": network.mac,
        "Networks": networks,
    })
}
