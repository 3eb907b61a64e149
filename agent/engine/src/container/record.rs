//! What the database keeps of a container.

use std::collections::BTreeMap;
use std::time::SystemTime;

use berth_agent_state::Record;
use serde::{Deserialize, Serialize};

use crate::container::restart::RestartRecord;
use crate::container::status::Status;
use crate::id::ContainerId;
use crate::options::{HealthOptions, HostOptions, TerminalSize};

/// A container as stored. Options are kept as given and as merged with the image's, so that a start
/// needs no look at the image's configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    pub(crate) id: ContainerId,
    pub(crate) name: String,
    pub(crate) created: SystemTime,
    /// The image as the caller wrote it.
    pub(crate) image: String,
    /// `sha256:…` of the image's configuration.
    pub(crate) image_id: String,
    /// Layers of the image, bottom first.
    pub(crate) layers: Vec<String>,
    pub(crate) config: MergedConfig,
    pub(crate) host: HostOptions,
    pub(crate) mounts: Vec<MountRecord>,
    pub(crate) status: Status,
    /// Its starts by itself.
    #[serde(default)]
    pub(crate) restart: RestartRecord,
    /// It has been started before, even if its status, written behind, does not say so.
    #[serde(default)]
    pub(crate) was_started: bool,
    /// What the network gave it while it runs, for `inspect` and `ps`.
    #[serde(default)]
    pub(crate) network: Option<NetworkRecord>,
}

/// The caller's options merged with the image's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct MergedConfig {
    pub(crate) hostname: String,
    pub(crate) user: String,
    pub(crate) env: Vec<String>,
    pub(crate) command: Vec<String>,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) working_dir: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) tty: bool,
    pub(crate) terminal_size: Option<TerminalSize>,
    pub(crate) open_stdin: bool,
    pub(crate) stdin_once: bool,
    pub(crate) stop_signal: String,
    pub(crate) stop_timeout_seconds: Option<i64>,
    /// `80/tcp`, sorted.
    pub(crate) exposed_ports: Vec<String>,
    /// Paths that the image declares as volumes.
    pub(crate) volumes: Vec<String>,
    /// Words before a shell line; empty: Docker's.
    pub(crate) shell: Vec<String>,
    /// How it is found out whether it is well; nothing: not at all.
    pub(crate) healthcheck: Option<HealthOptions>,
}

/// A mount that was decided on at creation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MountRecord {
    pub(crate) kind: MountKind,
    /// Path on the machine.
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) read_only: bool,
    pub(crate) propagation: String,
    /// The options as written.
    pub(crate) mode: String,
}

/// Kinds of mounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MountKind {
    Bind,
    Volume {
        name: String,
        /// Goes away with the container on request.
        anonymous: bool,
    },
}

/// What the network gave to a running container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct NetworkRecord {
    pub(crate) ip: String,
    pub(crate) prefix: u8,
    pub(crate) gateway: String,
    pub(crate) mac: String,
    pub(crate) ports: Vec<PublishedRecord>,
}

/// One published port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublishedRecord {
    pub(crate) host_ip: String,
    pub(crate) host_port: u16,
    pub(crate) container_port: u16,
    pub(crate) protocol: String,
}

/// Anonymous volumes between their making (or their container's removal) and the record that
/// settles whose they are. What is found here after a crash is removed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LooseVolumes {
    pub(crate) volumes: Vec<String>,
}

/// The engine's own identity, kept across restarts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EngineIdentity {
    pub(crate) id: String,
}

// === impl ContainerRecord ===

impl Record for ContainerRecord {
    const TABLE: &'static str = "containers";
    const VERSION: u32 = 1;
}

impl ContainerRecord {
    /// Returns entrypoint and command as one list.
    pub(crate) fn argv(&self) -> Vec<String> {
        self.config
            .entrypoint
            .iter()
            .chain(&self.config.command)
            .cloned()
            .collect()
    }

    /// Returns the names of volumes that go away with the container.
    pub(crate) fn anonymous_volumes(&self) -> Vec<String> {
        self.mounts
            .iter()
            .filter_map(|mount| match &mount.kind {
                MountKind::Volume {
                    name,
                    anonymous: true,
                } => Some(name.clone()),
                MountKind::Volume { .. } | MountKind::Bind => None,
            })
            .collect()
    }
}

// === impl LooseVolumes ===

impl Record for LooseVolumes {
    const TABLE: &'static str = "loose-volumes";
    const VERSION: u32 = 1;
}

// === impl EngineIdentity ===

impl Record for EngineIdentity {
    const TABLE: &'static str = "engine-identity";
    const VERSION: u32 = 1;
}
