//! `berth.json`: what only berth knows of a machine, beside docker-machine's `config.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The version of the format that this berth writes.
pub(crate) const VERSION: u32 = 1;

/// How far a machine has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// `create` has begun and not ended; `create` again goes on, `rm` undoes.
    Creating,
    /// It is complete.
    #[default]
    Ready,
    /// `rm` has begun and not ended.
    Removing,
}

/// One step of `create`, written before it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The step's name.
    pub step: String,
    /// When it was written, in seconds since 1970.
    pub at: u64,
}

/// The agent that was installed last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// SHA-256 of the executable, hex.
    pub sha256: String,
    /// The version it named itself.
    pub version: String,
}

/// What serves containers on a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// berth's own agent.
    #[default]
    Berth,
    /// Docker's daemon, as docker-machine installs it.
    Docker,
}

impl Engine {
    fn is_berth(&self) -> bool {
        *self == Self::Berth
    }
}

/// What only berth knows of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SideRecord {
    /// The format's version.
    pub version: u32,
    /// How far the machine has come.
    pub progress: Progress,
    /// The name that is in the machine's certificate, whatever its address.
    pub stable_name: Option<String>,
    /// The host's public key in OpenSSH's form, from the first connection on.
    pub host_key: Option<String>,
    /// The agent on it.
    pub agent: Option<AgentRecord>,
    /// The names and addresses in the certificate that the machine has now.
    pub certificate_names: Vec<String>,
    /// The steps of `create`, oldest first.
    pub journal: Vec<StepRecord>,
    /// What serves containers on it.
    #[serde(skip_serializing_if = "Engine::is_berth")]
    pub engine: Engine,
    /// Secrets of the driver that are kept elsewhere: flag, and where its value is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// Authorities of others (PEM) that the machine's agent trusts beside the operator's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted: Vec<String>,
    /// The operator's own authorities (SHA-256, hex) that the machine's agent is known to trust.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorities: Vec<String>,
    /// The revoked certificates (SHA-256, hex) that the machine's agent is known to turn away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<String>,
    /// Whether the machine was taken over with an agent on it, whose configuration there counts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// Keys of later versions, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl Default for SideRecord {
    fn default() -> Self {
        Self {
            version: VERSION,
            progress: Progress::Ready,
            stable_name: None,
            host_key: None,
            agent: None,
            certificate_names: Vec::new(),
            journal: Vec::new(),
            engine: Engine::Berth,
            secrets: BTreeMap::new(),
            trusted: Vec::new(),
            authorities: Vec::new(),
            revoked: Vec::new(),
            adopted: false,
            unknown: Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_later_version_survive() {
        let text = r#"{"version":1,"progress":"creating","note":{"a":[1,2]}}"#;
        let side: SideRecord = serde_json::from_str(text).unwrap();
        assert_eq!(side.progress, Progress::Creating);
        let again: Value = serde_json::to_value(&side).unwrap();
        assert_eq!(again["note"]["a"][1], 2);
    }

    #[test]
    fn machine_without_a_side_file_is_complete() {
        assert_eq!(SideRecord::default().progress, Progress::Ready);
    }
}
