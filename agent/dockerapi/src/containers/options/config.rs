//! The part of a container's description that is about the process, and all of it together.

use std::collections::BTreeMap;

use berth_agent_engine::{ContainerOptions, HealthOptions, TerminalSize};
use serde::Deserialize;
use serde_json::Value;

use super::host::HostConfig;
use super::network::{NetworkingConfig, endpoints};
use crate::decode::words;
use crate::error::ApiError;

/// A container's description.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(in crate::containers) struct ContainerConfig {
    hostname: String,
    domainname: String,
    user: String,
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    exposed_ports: BTreeMap<String, Value>,
    tty: bool,
    open_stdin: bool,
    stdin_once: bool,
    env: Vec<String>,
    #[serde(deserialize_with = "words")]
    cmd: Vec<String>,
    healthcheck: Option<Healthcheck>,
    image: String,
    volumes: BTreeMap<String, Value>,
    working_dir: String,
    #[serde(deserialize_with = "words")]
    entrypoint: Vec<String>,
    network_disabled: bool,
    mac_address: String,
    labels: BTreeMap<String, String>,
    stop_signal: String,
    stop_timeout: Option<i64>,
    #[serde(deserialize_with = "words")]
    shell: Vec<String>,
    host_config: HostConfig,
    networking_config: NetworkingConfig,
}

/// A health check; times in nanoseconds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Healthcheck {
    test: Vec<String>,
    interval: i64,
    timeout: i64,
    start_period: i64,
    start_interval: i64,
    retries: i64,
}

impl ContainerConfig {
    /// Translates the description.
    ///
    /// # Errors
    /// When a part of it makes no sense.
    pub(in crate::containers) fn into_options(
        self,
        platform: String,
    ) -> Result<ContainerOptions, ApiError> {
        let terminal_size = match self.host_config.console_size {
            [0, _] | [_, 0] => None,
            [rows, columns] => Some(TerminalSize { rows, columns }),
        };
        let mode = self.host_config.network_mode.clone();
        Ok(ContainerOptions {
            image: self.image,
            command: self.cmd,
            entrypoint: self.entrypoint,
            env: self.env,
            working_dir: self.working_dir,
            user: self.user,
            hostname: self.hostname,
            domainname: self.domainname,
            labels: self.labels,
            tty: self.tty,
            open_stdin: self.open_stdin,
            stdin_once: self.stdin_once,
            stop_signal: self.stop_signal,
            stop_timeout_seconds: self.stop_timeout,
            exposed_ports: self.exposed_ports.into_keys().collect(),
            terminal_size,
            volumes: self.volumes.into_keys().collect(),
            healthcheck: self.healthcheck.map(Healthcheck::into_options),
            attach_stdin: self.attach_stdin,
            attach_stdout: self.attach_stdout,
            attach_stderr: self.attach_stderr,
            mac_address: self.mac_address,
            network_disabled: self.network_disabled,
            networks: endpoints(self.networking_config, &mode),
            shell: self.shell,
            platform,
            host: self.host_config.into_options()?,
        })
    }
}

impl Healthcheck {
    fn into_options(self) -> HealthOptions {
        HealthOptions {
            test: self.test,
            interval_nanos: self.interval,
            timeout_nanos: self.timeout,
            start_period_nanos: self.start_period,
            start_interval_nanos: self.start_interval,
            retries: self.retries,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::decode;

    fn options(value: &Value) -> ContainerOptions {
        let config: ContainerConfig = decode::json(value.to_string().as_bytes()).expect("valid");
        config.into_options(String::new()).expect("sensible")
    }

    #[test]
    fn what_the_docker_client_sends_is_understood() {
        let text = r#"{
            "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": true,
            "AttachStderr": true, "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": null,
            "Cmd": ["true"], "Image": "box", "Volumes": {"/data": null}, "WorkingDir": "",
            "Entrypoint": null, "OnBuild": null, "Labels": {}, "ExposedPorts": {"80/tcp": {}},
            "HostConfig": {
                "Binds": null, "ContainerIDFile": "", "LogConfig": {"Type": "", "Config": {}},
                "NetworkMode": "default", "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
                "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "AutoRemove": true,
                "ConsoleSize": [24, 80], "Memory": 1024, "MemorySwappiness": -1, "NanoCpus": 0,
                "PidsLimit": 0, "OomKillDisable": false, "Init": null, "MaskedPaths": null,
                "Tmpfs": {"/run": "size=1m"}, "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
                "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}]
            },
            "NetworkingConfig": {"EndpointsConfig": {"default": {"Aliases": null, "IPAMConfig": null}}}
        }"#;
        let options = options(&serde_json::from_str(text).expect("JSON"));
        assert_eq!(options.command, ["true"]);
        assert!(options.entrypoint.is_empty() && options.env.is_empty());
        assert_eq!(
            options.terminal_size,
            Some(TerminalSize {
                rows: 24,
                columns: 80
            })
        );
        let host = &options.host;
        assert!(host.auto_remove && host.masked_paths.is_none());
        assert_eq!(
            (
                host.port_bindings[0].host_port,
                host.port_bindings[0].container_port
            ),
            (8080, 80)
        );
        assert_eq!(host.tmpfs, ["/run:size=1m"]);
        assert_eq!(host.devices, ["/dev/null:/dev/x:r"]);
        assert_eq!(host.resources.ulimits[0].hard, 2);
        assert_eq!(options.volumes, ["/data"]);
    }

    #[test]
    fn ports_may_be_ranges_or_left_to_the_machine() {
        let bindings = |value: Value| {
            options(&json!({ "HostConfig": { "PortBindings": value } }))
                .host
                .port_bindings
        };
        let found = bindings(json!({"53/udp": [{"HostIp": "127.0.0.1", "HostPort": "5000-5010"}]}));
        assert_eq!((found[0].host_port, found[0].host_port_last), (5000, 5010));
        assert_eq!(
            (found[0].protocol.as_str(), found[0].host_ip.as_str()),
            ("udp", "127.0.0.1")
        );
        let found = bindings(json!({"80": [{}]}));
        assert_eq!((found.len(), found[0].host_port), (1, 0));
        assert_eq!(found[0].protocol, "tcp");
        for nothing in [json!({"80": null}), json!({"80/tcp": []})] {
            assert!(bindings(nothing).is_empty());
        }
        let wrong = json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "x"}]}}});
        let config: ContainerConfig = decode::json(wrong.to_string().as_bytes()).expect("valid");
        let error = config.into_options(String::new()).expect_err("no port");
        assert_eq!(error.sentence(), "invalid port specification: \"x\"");
    }
}
