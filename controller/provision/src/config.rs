//! What the agent reads when it starts.

use std::fmt;

use serde_json::{Value, json};

/// The agent's configuration file, as far as the controller decides it. What is empty is left to the
/// agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentConfig {
    /// Addresses to listen on, `host:port`.
    pub listen: Vec<String>,
    /// Registries that may be spoken to without TLS.
    pub insecure_registries: Vec<String>,
    /// Mirrors of the public registry.
    pub registry_mirrors: Vec<String>,
    /// Labels of the engine, `key=value`.
    pub labels: Vec<String>,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub log_level: String,
    /// Where images, containers and volumes are kept.
    pub data_root: String,
    /// Name of the bridge of containers.
    pub bridge: String,
    /// Its subnet, `address/bits`.
    pub subnet: String,
    /// OCI runtime of containers that ask for none.
    pub default_runtime: String,
    /// Limits of containers, `name=soft[:hard]`.
    pub default_ulimits: Vec<String>,
    /// Name servers of containers that ask for none.
    pub dns: Vec<String>,
    /// Size of `/dev/shm` of containers that ask for none, in bytes.
    pub default_shm_size: u64,
    /// Whether containers get a small init.
    pub init: bool,
    /// Whether no container may gain rights.
    pub no_new_privileges: bool,
    /// Environment of the agent, `KEY=VALUE`; in its service, not in the file.
    pub environment: Vec<String>,
    /// The text of a file that stays as it is, whatever else is said here; empty: none.
    pub kept: String,
}

/// The agent's certificate, its key, and whose clients it lets in.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authority's certificate.
    pub ca_pem: String,
    /// The agent's certificate.
    pub cert_pem: String,
    /// The agent's private key; empty when the host has it and the certificate already.
    pub key_pem: String,
}

impl AgentConfig {
    /// Returns the file's text.
    pub(crate) fn to_json(&self) -> String {
        if !self.kept.is_empty() {
            return self.kept.clone();
        }
        let mut value = json!({
            "listen": self.listen,
            "tls": {
                "ca": "/etc/berth/ca.pem",
                "cert": "/etc/berth/server.pem",
                "key": "/etc/berth/server-key.pem",
            },
            "socket": "/run/berth/berthd.sock",
            "data_root": "/var/lib/berth",
            "run_root": "/run/berth",
            "insecure_registries": self.insecure_registries,
            "registry_mirrors": self.registry_mirrors,
            "labels": self.labels,
            "default_runtime": self.default_runtime,
        });
        let texts = [
            ("data_root", &self.data_root),
            ("log_level", &self.log_level),
            ("bridge", &self.bridge),
            ("subnet", &self.subnet),
        ];
        for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            value[key] = Value::from(text.as_str());
        }
        let lists = [
            ("default_ulimits", &self.default_ulimits),
            ("dns", &self.dns),
        ];
        for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            value[key] = json!(list);
        }
        if self.default_shm_size > 0 {
            value["default_shm_size"] = Value::from(self.default_shm_size);
        }
        let switches = [
            ("init", self.init),
            ("no_new_privileges", self.no_new_privileges),
        ];
        for (key, _) in switches.into_iter().filter(|(_, on)| *on) {
            value[key] = Value::Bool(true);
        }
        format!("{value:#}\n")
    }
}

impl fmt::Debug for TlsFiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsFiles").finish_non_exhaustive()
    }
}
