//! What the agent says of itself and of its machine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use berth_agent_engine::Info;
use http::Response;
use serde_json::{Value, json};

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::moment;
use crate::version::ApiVersion;

/// Answers with everything.
pub(super) async fn info(api: &Api, call: &Call) -> Result<Response<Body>, ApiError> {
    let engine = Arc::clone(api.engine());
    // Looks at files.
    let info = tokio::task::spawn_blocking(move || engine.info())
        .await
        .map_err(|error| ApiError::cut_off(&error))?;
    let mut object = facts(api, &info, call.version);
    for part in [measured(&info), constants()] {
        if let (Value::Object(all), Value::Object(more)) = (&mut object, part) {
            all.extend(more);
        }
    }
    Ok(answer::ok(&object))
}

fn facts(api: &Api, info: &Info, version: ApiVersion) -> Value {
    let config = api.engine().config();
    // Docker knows only two layouts; one with both is used as the first.
    let cgroup_version = if info.cgroup_version == "2" { "2" } else { "1" };
    let runtimes: BTreeMap<&String, Value> = info
        .runtimes
        .iter()
        .map(|name| (name, json!({ "path": name })))
        .collect();
    json!({
        "ID": info.id,
        "Containers": info.containers,
        "ContainersRunning": info.running,
        "ContainersPaused": info.paused,
        "ContainersStopped": info.stopped,
        "Images": info.images,
        "Driver": "overlayfs",
        "DriverStatus": info.driver_status,
        "SystemTime": moment::rfc3339(SystemTime::now()),
        "CgroupVersion": cgroup_version,
        "KernelVersion": info.kernel_version,
        "OperatingSystem": info.operating_system,
        "OSVersion": info.os_version,
        "OSType": "linux",
        "Architecture": std::env::consts::ARCH,
        "NCPU": info.n_cpus,
        "MemTotal": info.memory_total,
        "DockerRootDir": config.data_root,
        "Name": info.name,
        "Labels": config.labels,
        "ServerVersion": config.version,
        "Runtimes": runtimes,
        "DefaultRuntime": info.default_runtime,
        "SecurityOptions": security_options(info, version),
        "Warnings": nullable(&info.warnings),
        "RegistryConfig": {
            "AllowNondistributableArtifactsCIDRs": null,
            "AllowNondistributableArtifactsHostnames": null,
            "InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128"],
            "IndexConfigs": index_configs(&config.insecure_registries, &config.registry_mirrors),
            "Mirrors": config.registry_mirrors,
        },
    })
}

fn measured(info: &Info) -> Value {
    let kernel = &info.kernel_features;
    json!({
        "NEventsListener": info.n_event_listeners,
        "NFd": info.n_file_descriptors,
        // What comes closest.
        "NGoroutines": info.n_threads,
        "MemoryLimit": kernel.memory,
        "SwapLimit": kernel.swap,
        "CpuCfsPeriod": kernel.cpu_quota,
        "CpuCfsQuota": kernel.cpu_quota,
        "CPUShares": kernel.cpu_shares,
        "CPUSet": kernel.cpuset,
        "PidsLimit": kernel.pids,
        "OomKillDisable": kernel.oom_kill_disable,
        "IPv4Forwarding": kernel.ipv4_forwarding,
    })
}

/// What is the same on every machine that this agent runs on.
fn constants() -> Value {
    json!({
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "null"],
            "Authorization": null,
            "Log": ["json-file", "local", "none"],
        },
        "BridgeNfIptables": false,
        "BridgeNfIp6tables": false,
        "Debug": false,
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs",
        "IndexServerAddress": "https://index.docker.io/v1/",
        "GenericResources": null,
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "ExperimentalBuild": false,
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": false,
            "Error": "",
            "RemoteManagers": null,
        },
        "LiveRestoreEnabled": true,
        "Isolation": "",
        "InitBinary": "berthd",
        "ContainerdCommit": { "ID": "", "Expected": "" },
        "RuncCommit": { "ID": "", "Expected": "" },
        "InitCommit": { "ID": "", "Expected": "" },
        "ProductLicense": "",
        "CDISpecDirs": [],
    })
}

fn security_options(info: &Info, version: ApiVersion) -> Value {
    if version.since(25) {
        return json!(info.security_options);
    }
    // Before, only the names.
    let names = info.security_options.iter().map(|option| {
        let name = option.split(',').next().unwrap_or_default();
        name.strip_prefix("name=").unwrap_or(name)
    });
    json!(names.collect::<Vec<_>>())
}

fn index_configs(insecure: &[String], mirrors: &[String]) -> Value {
    let config = |name: &str, secure: bool, mirrors: &[String]| {
        json!({
            "Name": name,
            "Mirrors": mirrors,
            "Secure": secure,
            "Official": name == "docker.io",
        })
    };
    let mut all = BTreeMap::from([("docker.io", config("docker.io", true, mirrors))]);
    for name in insecure {
        all.insert(name, config(name, false, &[]));
    }
    json!(all)
}

fn nullable(list: &[String]) -> Value {
    if list.is_empty() {
        Value::Null
    } else {
        json!(list)
    }
}
