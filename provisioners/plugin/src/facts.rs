//! What is known of a machine from its record, without its plugin.
//!
//! The driver's own keys stay as the driver wrote them. What it answered after the machine was made
//! is kept beside them under one key of ours, which docker-machine ignores and drops: whatever it
//! does to the machine, no old answer outlives it.

use std::path::{Path, PathBuf};

use berth_provisioners_api::{DEFAULT_ENGINE_PORT, DEFAULT_SSH_PORT, SshEndpoint};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Our key in the driver's object.
pub(crate) const KEY: &str = "BerthPlugin";

/// Keys in which drivers write down the engine's port.
const ENGINE_PORT_KEYS: [&str; 2] = ["EnginePort", "DockerPort"];

/// What is under our key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Facts {
    #[serde(rename = "IP", skip_serializing_if = "String::is_empty")]
    pub(crate) ip: String,
    #[serde(rename = "URL", skip_serializing_if = "String::is_empty")]
    pub(crate) url: String,
    #[serde(rename = "SSHHostname", skip_serializing_if = "String::is_empty")]
    pub(crate) ssh_host: String,
    #[serde(rename = "SSHPort", skip_serializing_if = "is_zero")]
    pub(crate) ssh_port: u16,
    #[serde(rename = "SSHUsername", skip_serializing_if = "String::is_empty")]
    pub(crate) ssh_user: String,
    #[serde(rename = "SSHKeyPath", skip_serializing_if = "String::is_empty")]
    pub(crate) ssh_key: String,
    /// Whether the address among the driver's keys is from us.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) filled: bool,
    /// The configuration with which a creation begins, until that has ended well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Value>,
    /// Whether the driver was never told to make the machine, so that there is nothing of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) untouched: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(port: &u16) -> bool {
    *port == 0
}

/// The driver's object in a machine's record.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// As the driver wrote it.
    pub(crate) config: Value,
    pub(crate) facts: Facts,
}

// === impl Record ===

impl Record {
    pub(crate) fn parse(mut config: Value) -> Self {
        let own = config
            .as_object_mut()
            .and_then(|keys| keys.shift_remove(KEY));
        let facts: Option<Facts> = own.and_then(|own| serde_json::from_value(own).ok());
        let mut facts = facts.unwrap_or_default();
        if std::mem::take(&mut facts.filled)
            && let Some(address) = config.get_mut("IPAddress")
        {
            *address = Value::String(String::new());
        }
        Self { config, facts }
    }

    /// Returns the whole object, ours included.
    pub(crate) fn to_value(&self) -> Value {
        let mut config = self.config.clone();
        let Some(keys) = config.as_object_mut() else {
            return config;
        };
        let mut facts = self.facts.clone();
        // Other programs that read the store look for the address where every driver has it.
        if let Some(address) = keys.get_mut("IPAddress")
            && address.as_str() == Some("")
            && !facts.ip.is_empty()
        {
            *address = Value::String(facts.ip.clone());
            facts.filled = true;
        }
        if facts != Facts::default() {
            let facts = serde_json::to_value(facts).unwrap_or_default();
            keys.insert(KEY.to_owned(), facts);
        }
        config
    }

    fn text(&self, key: &str) -> &str {
        self.config[key].as_str().unwrap_or_default()
    }

    pub(crate) fn ip(&self) -> Option<String> {
        first(&[&self.facts.ip, self.text("IPAddress")])
    }

    pub(crate) fn url(&self) -> Option<String> {
        first(&[&self.facts.url])
    }

    /// Returns how to reach the machine by SSH, when driver or record say enough.
    pub(crate) fn ssh(&self, directory: &Path) -> Option<SshEndpoint> {
        let facts = &self.facts;
        let host = first(&[&facts.ssh_host, self.text("IPAddress")])?;
        let user = first(&[&facts.ssh_user, self.text("SSHUser")])?;
        let port = self.config["SSHPort"].as_u64();
        let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
        let port = [facts.ssh_port, port].into_iter().find(|port| *port != 0);
        // Every driver's base has this name for the key, unless told another.
        let usual = directory.join("id_rsa");
        let key = first(&[&facts.ssh_key, self.text("SSHKeyPath")]).map(PathBuf::from);
        Some(SshEndpoint {
            host,
            port: port.unwrap_or(DEFAULT_SSH_PORT),
            user,
            key: key.or_else(|| usual.exists().then_some(usual)),
            host_key: None,
        })
    }

    pub(crate) fn engine_port(&self) -> u16 {
        let told = port_of(&self.facts.url);
        let mut noted = ENGINE_PORT_KEYS
            .iter()
            .filter_map(|key| u16::try_from(self.config[*key].as_u64()?).ok());
        told.or_else(|| noted.find(|port| *port != 0))
            .unwrap_or(DEFAULT_ENGINE_PORT)
    }
}

fn first(texts: &[&str]) -> Option<String> {
    let text = texts.iter().find(|text| !text.is_empty())?;
    Some((*text).to_owned())
}

/// Returns the port of `tcp://address:port`.
fn port_of(url: &str) -> Option<u16> {
    let (_rest, port) = url.trim_end_matches('/').rsplit_once(':')?;
    port.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_of_docker_machine_are_enough() {
        let record = Record::parse(json!({
            "IPAddress": "10.0.0.9", "SSHUser": "ubuntu", "SSHPort": 0, "SSHKeyPath": "", "EnginePort": 3376
        }));
        assert_eq!(record.ip().as_deref(), Some("10.0.0.9"));
        assert_eq!(record.engine_port(), 3376);
        let ssh = record.ssh(Path::new("/nowhere")).unwrap();
        assert_eq!((ssh.port, ssh.user.as_str(), ssh.key), (22, "ubuntu", None));
    }

    #[test]
    fn nothing_is_known_of_a_machine_without_address() {
        let record = Record::parse(json!({"IPAddress": "", "SSHUser": "root"}));
        assert_eq!(record.ip(), None);
        assert_eq!(record.ssh(Path::new("/nowhere")), None);
        assert_eq!(record.to_value(), record.config, "and no key is added");
    }

    #[test]
    fn answers_stand_beside_the_drivers_keys() {
        let config = json!({"IPAddress": "", "Big": 12_345_678_901_234_567_890_u64, "Url": null});
        let mut record = Record::parse(config.clone());
        record.facts.ip = "10.0.0.9".to_owned();
        record.facts.url = "tcp://[fd00::9]:4376".to_owned();
        let value = record.to_value();
        assert_eq!(value["IPAddress"], "10.0.0.9");
        assert_eq!(value["Big"], config["Big"]);
        let again = Record::parse(value);
        assert_eq!(again.facts, record.facts);
        assert_eq!(again.config, config, "the driver sees its own keys only");
        assert_eq!(again.engine_port(), 4376);
        assert!(again.config.get(KEY).is_none());
    }
}
