//! What a caller may ask of a container: options as they are given, before the image's defaults
//! are merged in. They are stored as they are, so every field has a default for older records.

pub(crate) mod defaults;
mod health;
mod host;
mod lifecycle;
pub(crate) mod mode;
mod mount;
mod network;
mod resources;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use health::HealthOptions;
pub use host::HostOptions;
pub use lifecycle::{DriverDevices, LogOptions, RestartPolicy};
pub use mount::MountOptions;
pub use network::{EndpointOptions, PortBinding};
pub use resources::{ResourceOptions, ThrottleDevice, UlimitOption, WeightDevice};

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
    /// NIS domain name.
    pub domainname: String,
    /// Paths that get anonymous volumes, besides the image's.
    pub volumes: Vec<String>,
    /// Health check; nothing: the image's.
    pub healthcheck: Option<HealthOptions>,
    /// The creating client attaches to stdin; shown by inspect.
    pub attach_stdin: bool,
    /// The creating client attaches to stdout; shown by inspect.
    pub attach_stdout: bool,
    /// The creating client attaches to stderr; shown by inspect.
    pub attach_stderr: bool,
    /// Address of the interface on the network of `host.network_mode`; empty: one that is made up.
    pub mac_address: String,
    /// No network at all.
    pub network_disabled: bool,
    /// What is asked of networks, that of `host.network_mode` and others.
    pub networks: Vec<EndpointOptions>,
    /// Shell of shell forms; empty: the image's.
    pub shell: Vec<String>,
    /// `os/arch[/variant]` that the image must be for; empty: any.
    pub platform: String,
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

impl From<TerminalSize> for berth_agent_runtime::TerminalSize {
    fn from(size: TerminalSize) -> Self {
        Self {
            rows: size.rows,
            cols: size.columns,
        }
    }
}
