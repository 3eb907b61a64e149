//! What the agent reads when it starts.

use std::fmt;

use serde::Serialize;
use serde_json::json;

/// The agent's configuration file, as far as the controller decides it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AgentConfig {
    /// Addresses to listen on, `host:port`.
    pub listen: Vec<String>,
    /// Registries that may be spoken to without TLS.
    pub insecure_registries: Vec<String>,
    /// Mirrors of the public registry.
    pub registry_mirrors: Vec<String>,
    /// Labels of the engine, `key=value`.
    pub labels: Vec<String>,
    /// Environment of the agent, `KEY=VALUE`.
    #[serde(skip)]
    pub environment: Vec<String>,
}

/// The agent's certificate, its key, and whose clients it lets in.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authority's certificate.
    pub ca_pem: String,
    /// The agent's certificate.
    pub cert_pem: String,
    /// The agent's private key.
    pub key_pem: String,
}

impl AgentConfig {
    /// Returns the file's text.
    pub(crate) fn to_json(&self) -> String {
        let value = json!({
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
            "default_runtime": "",
        });
        format!("{value:#}\n")
    }
}

impl fmt::Debug for TlsFiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsFiles").finish_non_exhaustive()
    }
}
