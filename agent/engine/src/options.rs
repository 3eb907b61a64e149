//! What a caller may ask of a container: options as they are given, before the image's defaults
//! are merged in. They are stored as they are, so every field has a default for older records.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Options of a new container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerOptions {
    /// Name, id or id prefix of the image.
    pub image: String,
    /// Replaces the image's command; empty: the image's.
    pub command: Vec<String>,
    /// Replaces the image's entrypoint; one empty string: none; empty: the image's.
    pub entrypoint: Vec<String>,
    /// `NAME=value`; a bare `NAME` removes it.
    pub env: Vec<String>,
    /// Working directory; empty: the image's.
    pub working_dir: String,
    /// `user[:group]`, names or numbers; empty: the image's.
    pub user: String,
    /// Host name; empty: the short id.
    pub hostname: String,
    /// Labels, over the image's.
    pub labels: BTreeMap<String, String>,
    /// Gives the process a terminal.
    pub tty: bool,
    /// Keeps stdin open.
    pub open_stdin: bool,
    /// Closes stdin when the first attached client's ends.
    pub stdin_once: bool,
    /// Signal for `stop`; empty: the image's, or SIGTERM.
    pub stop_signal: String,
    /// Seconds that `stop` waits.
    pub stop_timeout_seconds: Option<i64>,
    /// `port[/proto]`, besides the image's.
    pub exposed_ports: Vec<String>,
    /// Size that a new terminal starts with; nothing: the kernel's.
    pub terminal_size: Option<TerminalSize>,
    /// What concerns the machine that the container runs on.
    pub host: HostOptions,
}

/// Size of a terminal in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// The part of the options that is about the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostOptions {
    /// `source:target[:options]` or `/target`.
    pub binds: Vec<String>,
    /// Ports to publish.
    pub port_bindings: Vec<PortBinding>,
    /// `""`, `default`, `bridge`, `host` or `none`.
    pub network_mode: String,
    /// Removes the container and its anonymous volumes when it exits.
    pub auto_remove: bool,
    /// All capabilities and devices, nothing masked.
    pub privileged: bool,
    /// Capabilities to add, with or without `CAP_`, or `ALL`.
    pub cap_add: Vec<String>,
    /// Capabilities to drop.
    pub cap_drop: Vec<String>,
    /// `no-new-privileges`, `seccomp=unconfined`, `seccomp=<JSON>`.
    pub security_opt: Vec<String>,
    /// Mounts the root filesystem read-only.
    pub read_only_rootfs: bool,
    /// Memory limit; 0: none.
    pub memory_bytes: i64,
    /// Billionths of a CPU; 0: no limit.
    pub nano_cpus: i64,
    /// Limit of processes; 0: none.
    pub pids_limit: i64,
    /// Relative CPU weight; 0: the default.
    pub cpu_shares: i64,
    /// OCI runtime; empty: berth's own.
    pub runtime: String,
    /// Runs a small init as process 1.
    pub init: bool,
    /// Name servers.
    pub dns: Vec<String>,
    /// `host:address` lines for `/etc/hosts`.
    pub extra_hosts: Vec<String>,
    /// `host-path[:container-path[:rwm]]`.
    pub devices: Vec<String>,
    /// `target[:options]`.
    pub tmpfs: Vec<String>,
    /// Publishes every exposed port on a free port of the machine.
    pub publish_all_ports: bool,
    /// Size of `/dev/shm`; 0: 64 MiB.
    pub shm_size_bytes: i64,
}

/// One port to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortBinding {
    /// Address of the machine; empty: all of them.
    pub host_ip: String,
    /// Port of the machine; 0: a free one.
    pub host_port: u16,
    /// Not 0: any free one from `host_port` up to this one.
    pub host_port_last: u16,
    /// Port in the container.
    pub container_port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

impl From<TerminalSize> for berth_agent_runtime::TerminalSize {
    fn from(size: TerminalSize) -> Self {
        Self {
            rows: size.rows,
            cols: size.columns,
        }
    }
}

impl HostOptions {
    /// Size of `/dev/shm` when none is given, as Docker's.
    pub const DEFAULT_SHM_SIZE: i64 = 64 * 1024 * 1024;

    /// Returns the size of `/dev/shm` in bytes.
    #[must_use]
    pub fn shm_size(&self) -> i64 {
        if self.shm_size_bytes > 0 {
            self.shm_size_bytes
        } else {
            Self::DEFAULT_SHM_SIZE
        }
    }
}
