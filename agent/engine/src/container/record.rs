//! What the database keeps of a container.

use std::collections::BTreeMap;
use std::time::SystemTime;

use berth_agent_state::Record;
use serde::{Deserialize, Serialize};

use crate::container::restart::RestartRecord;
use crate::container::status::Status;
use crate::create::links::LinkRecord;
use crate::id::ContainerId;
use crate::options::{EndpointOptions, HealthOptions, HostOptions, TerminalSize};

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
    /// Containers whose names and addresses it knows.
    #[serde(default)]
    pub(crate) links: Vec<LinkRecord>,
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
    /// Paths that the image declares as volumes, and those of the caller.
    pub(crate) volumes: Vec<String>,
    /// Words before a shell line; empty: Docker's.
    pub(crate) shell: Vec<String>,
    /// How it is found out whether it is well; nothing: not at all.
    pub(crate) healthcheck: Option<HealthOptions>,
    pub(crate) domainname: String,
    pub(crate) attach_stdin: bool,
    pub(crate) attach_stdout: bool,
    pub(crate) attach_stderr: bool,
    /// Address of the interface; empty: one that is made up.
    pub(crate) mac_address: String,
    pub(crate) network_disabled: bool,
    /// What is asked of networks.
    pub(crate) networks: Vec<EndpointOptions>,
    /// Whether `networks` are all, so that none means none; former agents left the one of the mode out.
    pub(crate) networks_are_complete: bool,
}

/// A mount that was decided on at creation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own of one mount"
)]
pub(crate) struct MountRecord {
    pub(crate) kind: MountKind,
    /// Path on the machine; empty for memory.
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) read_only: bool,
    pub(crate) propagation: String,
    /// The options as written.
    pub(crate) mode: String,
    /// A path of the machine that is not made when it is missing.
    pub(crate) must_exist: bool,
    /// Leaves out what is mounted below.
    pub(crate) non_recursive: bool,
    /// Read-only does not hold for what is mounted below.
    pub(crate) writable_below: bool,
    /// Path in the volume.
    pub(crate) subpath: String,
    /// Nothing of the image is copied into it.
    pub(crate) no_copy: bool,
}

/// Kinds of mounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MountKind {
    #[default]
    Bind,
    Volume {
        name: String,
        /// Goes away with the container on request.
        anonymous: bool,
    },
    /// Memory, with options for the filesystem.
    Tmpfs { options: Vec<String> },
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
    /// Made up for each run.
    pub(crate) endpoint_id: String,
    /// Made up for each run.
    pub(crate) sandbox_id: String,
    /// File of the network namespace; empty: the machine's own, or another container's.
    pub(crate) sandbox_key: String,
    /// Its places on networks; the fields above are about the first that leads somewhere.
    pub(crate) endpoints: Vec<EndpointRecord>,
}

/// A running container's place on one network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct EndpointRecord {
    /// Name of the network.
    pub(crate) network: String,
    pub(crate) network_id: String,
    /// Made up for each run.
    pub(crate) endpoint_id: String,
    pub(crate) ip: String,
    pub(crate) prefix: u8,
    pub(crate) gateway: String,
    pub(crate) ipv6: String,
    pub(crate) ipv6_prefix: u8,
    pub(crate) ipv6_gateway: String,
    pub(crate) mac: String,
    pub(crate) dns_names: Vec<String>,
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
                MountKind::Volume { .. } | MountKind::Bind | MountKind::Tmpfs { .. } => None,
            })
            .collect()
    }
}

// === impl NetworkRecord ===

impl NetworkRecord {
    /// Returns the container's place on a network.
    pub(crate) fn endpoint(&self, network: &str) -> Option<&EndpointRecord> {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.network == network)
    }

    /// Fills in what is told of the container as a whole.
    pub(crate) fn summarize(&mut self) {
        let first = self
            .endpoints
            .iter()
            .find(|endpoint| !endpoint.ip.is_empty());
        let first = first
            .or_else(|| self.endpoints.first())
            .cloned()
            .unwrap_or_default();
        self.ip = first.ip;
        self.prefix = first.prefix;
        self.gateway = first.gateway;
        self.mac = first.mac;
        self.endpoint_id = first.endpoint_id;
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
