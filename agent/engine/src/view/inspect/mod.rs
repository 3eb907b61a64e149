//! Everything about one container, as the object that `docker inspect` prints.

mod config;
pub(crate) mod details;
mod host_config;
mod limits;
mod mounts;
mod network;

use serde_json::{Map, Value, json};

use crate::Engine;
use crate::container::containers::LookupError;
use crate::container::record::ContainerRecord;
use crate::container::status::{Phase, Status};
use crate::options::mode::neighbour;
use crate::view::human::rfc3339;

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
        // Those that name the network belong to whom the network belongs.
        let other = neighbour(&record.host.network_mode).and_then(|n| self.containers.find(n).ok());
        let files = other.map_or_else(|| folder.clone(), |other| self.paths.container(other.id()));
        let argv = record.argv();
        let (path, arguments) = argv
            .split_first()
            .map_or(("", &[][..]), |(p, a)| (p.as_str(), a));
        let executions = self.execs.running_in(&record.id);
        let value = json!({
            "Id": record.id.as_str(),
            "Created": rfc3339(Some(record.created)),
            "Path": path,
            "Args": arguments,
            "State": state(&record.status),
            "Image": record.image_id,
            "ResolvConfPath": files.join("resolv.conf"),
            "HostnamePath": files.join("hostname"),
            "HostsPath": files.join("hosts"),
            "LogPath": folder.join("container.log"),
            "Name": format!("/{}", record.name),
            "RestartCount": record.restart.count,
            "Driver": "overlayfs",
            "Platform": "linux",
            "MountLabel": "",
            "ProcessLabel": "",
            "AppArmorProfile": apparmor(record),
            "ExecIDs": nullable(&executions),
            "HostConfig": self.host_config(record),
            "GraphDriver": self.graph_driver(record),
            "Mounts": record.mounts.iter().map(mounts::mount).collect::<Vec<_>>(),
            "Config": config::config(record),
            "NetworkSettings": self.network_settings(record),
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
                // It is mounted where its processes are, and nowhere on the machine.
                "MergedDir": record.status.pid.map_or_else(String::new, |pid| format!("/proc/{pid}/root")),
                "UpperDir": prepared.upper,
                "WorkDir": prepared.work,
            },
        })
    }
}

fn state(status: &Status) -> Value {
    let phase = status.phase;
    let mut state = json!({
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
    if let (Some(health), Value::Object(state)) = (&status.health, &mut state) {
        let log: Vec<Value> = health
            .log
            .iter()
            .map(|result| {
                json!({
                    "Start": rfc3339(Some(result.start)),
                    "End": rfc3339(Some(result.end)),
                    "ExitCode": result.exit_code,
                    "Output": result.output,
                })
            })
            .collect();
        let health = json!({
            "Status": health.status.word(),
            "FailingStreak": health.failing_streak,
            "Log": log,
        });
        state.insert("Health".to_owned(), health);
    }
    state
}

fn apparmor(record: &ContainerRecord) -> &str {
    let asked = record.host.security_opt.iter().rev();
    asked
        .filter_map(|option| {
            let rest = option.strip_prefix("apparmor")?;
            rest.strip_prefix(['=', ':'])
        })
        .next()
        .unwrap_or_default()
}

/// Returns the list, nothing for an empty one: that is how Go prints it.
fn nullable<T: serde::Serialize>(list: &[T]) -> Value {
    if list.is_empty() {
        Value::Null
    } else {
        json!(list)
    }
}

/// Adds what is printed only when there is something to print.
fn add(object: &mut Value, key: &str, is_there: bool, value: Value) {
    if let (true, Value::Object(object)) = (is_there, object) {
        object.insert(key.to_owned(), value);
    }
}

/// Appends to the list below a key.
fn push(map: &mut Map<String, Value>, key: String, entry: Value) {
    match map.entry(key).or_insert_with(|| json!([])) {
        Value::Array(list) => list.push(entry),
        other => *other = json!([entry]),
    }
}
