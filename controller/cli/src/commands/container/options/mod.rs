//! The flags that `run` and `create` share.

pub(super) mod limits;

use std::path::PathBuf;

use limits::LimitOptions;

/// Flags of a new container.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ContainerOptions {
    /// Name of the container; a random one if not given
    #[arg(long)]
    pub(super) name: Option<String>,

    /// Keep standard input open, also when nobody is attached
    #[arg(long, short)]
    pub(super) interactive: bool,

    /// Give the container a terminal
    #[arg(long, short)]
    pub(super) tty: bool,

    /// Attach to stdin, stdout or stderr (repeatable)
    #[arg(long, short, value_name = "STREAM", ignore_case = true)]
    pub(super) attach: Vec<Stream>,

    /// Remove the container when it ends
    #[arg(long)]
    pub(super) rm: bool,

    /// Set a variable: NAME=VALUE, or NAME to take its value from here
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub(super) env: Vec<String>,

    /// Set the variables of a file
    #[arg(long, value_name = "FILE")]
    pub(super) env_file: Vec<PathBuf>,

    /// Folder in which the command starts
    #[arg(long, short, value_name = "PATH", alias = "working-dir")]
    pub(super) workdir: Option<String>,

    /// User (and group) of the command: names or numbers
    #[arg(long, short, value_name = "USER[:GROUP]")]
    pub(super) user: Option<String>,

    /// Program instead of the image's entrypoint; empty for none
    #[arg(long, value_name = "PROGRAM")]
    pub(super) entrypoint: Option<String>,

    /// Host name inside the container
    #[arg(long, short = 'h', value_name = "NAME")]
    pub(super) hostname: Option<String>,

    /// Set a label
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub(super) label: Vec<String>,

    /// Set the labels of a file
    #[arg(long, value_name = "FILE")]
    pub(super) label_file: Vec<PathBuf>,

    /// Signal that stops the container
    #[arg(long, value_name = "SIGNAL")]
    pub(super) stop_signal: Option<String>,

    /// Seconds to wait for it to stop before it is killed
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(super) stop_timeout: Option<i64>,

    /// Write the container's id to a file
    #[arg(long, value_name = "FILE")]
    pub(super) cidfile: Option<PathBuf>,

    /// When to pull the image: always, missing or never
    #[arg(long, value_name = "WHEN", default_value = "missing")]
    pub(super) pull: crate::commands::image::transfer::PullPolicy,

    /// Do not show the progress of a pull
    #[arg(long, short)]
    pub(super) quiet: bool,

    /// Platform of the image to pull, such as linux/arm64
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub(super) platform: Option<String>,

    #[command(flatten)]
    pub(super) network: NetworkOptions,

    #[command(flatten)]
    pub(super) storage: StorageOptions,

    #[command(flatten)]
    pub(super) limits: LimitOptions,

    #[command(flatten)]
    pub(super) security: SecurityOptions,
}

/// Flags about the network.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkOptions {
    /// Network of the container: bridge, host or none
    #[arg(long, value_name = "NETWORK", alias = "net")]
    pub(super) network: Option<String>,

    /// Publish a port: [[IP:]HOST:]CONTAINER[/tcp|udp], also ranges
    #[arg(long, short, value_name = "PORTS")]
    pub(super) publish: Vec<String>,

    /// Publish every exposed port at one that is free
    #[arg(long, short = 'P')]
    pub(super) publish_all: bool,

    /// Expose a port or a range
    #[arg(long, value_name = "PORTS")]
    pub(super) expose: Vec<String>,

    /// Name server
    #[arg(long, value_name = "IP")]
    pub(super) dns: Vec<String>,

    /// Line for /etc/hosts
    #[arg(long, value_name = "HOST:IP")]
    pub(super) add_host: Vec<String>,
}

/// Flags about files.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct StorageOptions {
    /// Mount a volume or a path of the machine
    #[arg(long, short, value_name = "[SOURCE:]TARGET[:OPTIONS]")]
    pub(super) volume: Vec<String>,

    /// Mount a file system in memory
    #[arg(long, value_name = "TARGET[:OPTIONS]")]
    pub(super) tmpfs: Vec<String>,

    /// Make the root file system read-only
    #[arg(long)]
    pub(super) read_only: bool,

    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(super) shm_size: Option<i64>,
}

/// Flags about rights.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Rights")]
pub(crate) struct SecurityOptions {
    /// All capabilities and devices, no seccomp filter
    #[arg(long)]
    pub(super) privileged: bool,

    /// Add a capability
    #[arg(long, value_name = "CAPABILITY")]
    pub(super) cap_add: Vec<String>,

    /// Drop a capability
    #[arg(long, value_name = "CAPABILITY")]
    pub(super) cap_drop: Vec<String>,

    /// no-new-privileges, seccomp=unconfined or seccomp=FILE
    #[arg(long, value_name = "OPTION")]
    pub(super) security_opt: Vec<String>,

    /// Give access to a device of the machine
    #[arg(long, value_name = "PATH[:PATH[:rwm]]")]
    pub(super) device: Vec<String>,

    /// Run an init that reaps processes and passes signals on
    #[arg(long)]
    pub(super) init: bool,

    /// OCI runtime on the machine instead of berth's own
    #[arg(long, value_name = "PATH")]
    pub(super) runtime: Option<String>,
}

/// A stream to attach to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Stream {
    Stdin,
    Stdout,
    Stderr,
}

fn size(text: &str) -> Result<i64, crate::units::size::SizeError> {
    crate::units::size::parse(text)
}
