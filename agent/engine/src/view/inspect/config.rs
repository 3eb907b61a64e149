//! `Config`: what the image and the caller say about the process.

use serde_json::{Value, json};

use super::{add, nullable};
use crate::container::record::ContainerRecord;
use crate::create::health;

pub(super) fn config(record: &ContainerRecord) -> Value {
    let config = &record.config;
    let set = |keys: &[String]| {
        if keys.is_empty() {
            return Value::Null;
        }
        Value::Object(keys.iter().map(|key| (key.clone(), json!({}))).collect())
    };
    let mut value = json!({
        "Hostname": config.hostname,
        "Domainname": config.domainname,
        "User": config.user,
        "AttachStdin": config.attach_stdin,
        "AttachStdout": config.attach_stdout,
        "AttachStderr": config.attach_stderr,
        "Tty": config.tty,
        "OpenStdin": config.open_stdin,
        "StdinOnce": config.stdin_once,
        "Env": config.env,
        "Cmd": nullable(&config.command),
        "Image": record.image,
        "Volumes": set(&config.volumes),
        "WorkingDir": config.working_dir,
        "Entrypoint": nullable(&config.entrypoint),
        "OnBuild": null,
        "Labels": config.labels,
    });
    let ports = &config.exposed_ports;
    add(&mut value, "ExposedPorts", !ports.is_empty(), set(ports));
    let is_off = config.network_disabled;
    add(&mut value, "NetworkDisabled", is_off, json!(true));
    let mac = &config.mac_address;
    add(&mut value, "MacAddress", !mac.is_empty(), json!(mac));
    let signal = &config.stop_signal;
    add(&mut value, "StopSignal", !signal.is_empty(), json!(signal));
    let timeout = config.stop_timeout_seconds;
    add(&mut value, "StopTimeout", timeout.is_some(), json!(timeout));
    if let Some(check) = &config.healthcheck {
        add(&mut value, "Healthcheck", true, health::as_json(check));
    }
    let shell = &config.shell;
    add(&mut value, "Shell", !shell.is_empty(), json!(shell));
    value
}
