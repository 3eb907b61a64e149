//! What happens when a container ends, and where its output goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// When a container that ended is started again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestartPolicy {
    /// `""` or `no`, `on-failure`, `always`, `unless-stopped`.
    pub name: String,
    /// Of `on-failure`; 0: no end of tries.
    pub maximum_retry_count: i64,
}

/// Where the output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogOptions {
    /// Empty: the agent's default. `json-file` and `local` are the agent's own log; `none` keeps none.
    pub driver: String,
    /// `max-size`, `max-file`, …
    pub options: BTreeMap<String, String>,
}

/// Devices that a driver would choose (`--gpus`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DriverDevices {
    /// Name of the driver.
    pub driver: String,
    /// -1: all.
    pub count: i64,
    /// Ids of devices.
    pub device_ids: Vec<String>,
    /// What they must be able to do.
    pub capabilities: Vec<String>,
    /// For the driver.
    pub options: BTreeMap<String, String>,
}
