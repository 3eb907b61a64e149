//! The keys that every driver's configuration starts with, as docker-machine writes them.

use serde::{Deserialize, Serialize};

/// The port of SSH where nobody said otherwise.
pub const DEFAULT_SSH_PORT: u16 = 22;

/// The part of `config.json`'s `Driver` object that all drivers share.
///
/// Drivers flatten it into their own configuration, first, so that other programs that read the
/// store find these keys where docker-machine puts them. Missing keys take their zero value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BaseConfig {
    /// The address of the machine; empty until it is known.
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    /// The name that the operator gave.
    pub machine_name: String,
    /// The user that SSH logs in as.
    #[serde(rename = "SSHUser")]
    pub ssh_user: String,
    /// The port of the SSH server.
    #[serde(rename = "SSHPort")]
    pub ssh_port: u16,
    /// The private key that SSH logs in with; empty for the operator's default keys.
    #[serde(rename = "SSHKeyPath")]
    pub ssh_key_path: String,
    /// The root of the store.
    pub store_path: String,
    /// Kept for docker-machine; always false.
    pub swarm_master: bool,
    /// Kept for docker-machine; always empty.
    pub swarm_host: String,
    /// Kept for docker-machine; always empty.
    pub swarm_discovery: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spelled_as_docker_machine_spells_them() {
        let value = serde_json::to_value(BaseConfig::default()).unwrap();
        let keys: Vec<&str> = value
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            keys,
            [
                "IPAddress",
                "MachineName",
                "SSHUser",
                "SSHPort",
                "SSHKeyPath",
                "StorePath",
                "SwarmMaster",
                "SwarmHost",
                "SwarmDiscovery"
            ]
        );
    }

    #[test]
    fn missing_keys_take_their_zero_value() {
        let base: BaseConfig = serde_json::from_str(r#"{"IPAddress":"10.0.0.1"}"#).unwrap();
        assert_eq!(base.ip_address, "10.0.0.1");
        assert_eq!(base.ssh_port, 0);
    }
}
