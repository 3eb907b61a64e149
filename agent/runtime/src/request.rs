//! What callers ask of the runtime: starting a container, attaching to it, running a further command in it.

use std::path::PathBuf;
use std::sync::Arc;

use oci_spec::runtime::{Process, Spec};
use serde::{Deserialize, Serialize};

use crate::log::LogPolicy;

use crate::running::Running;

/// Where a container's root filesystem comes from; the supervisor mounts it inside the container's own mount namespace.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rootfs {
    /// Layers stacked by overlayfs.
    Overlay {
        /// Unpacked layers, topmost first; may be empty (an image from scratch).
        lower: Vec<PathBuf>,
        /// Directory that takes the container's changes.
        upper: PathBuf,
        /// Work directory of overlayfs, on the same filesystem as `upper`.
        work: PathBuf,
    },
    /// A plain directory, used as it is.
    Directory(PathBuf),
}

/// Size of a terminal in characters.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Number of lines.
    pub rows: u16,
    /// Number of columns.
    pub cols: u16,
}

/// Everything that starting a container needs.
#[derive(Clone, Debug)]
pub struct StartRequest {
    /// Identifier of the container; also its name towards an external runtime.
    pub id: String,
    /// Directory with the container's durable files (`container.log`, `exit.json`, `config.json`); must exist.
    pub bundle_dir: PathBuf,
    /// Directory for files that vanish with the machine's uptime (the supervisor's socket); made when missing.
    pub run_dir: PathBuf,
    /// OCI specification. `process.terminal` asks for a terminal, `linux.cgroups_path` names the cgroup
    /// (absolute, below the root that the agent sees) and `linux.resources` its limits.
    ///
    /// `linux.seccomp` is ignored by the built-in runtime, which takes `seccomp` below.
    pub spec: Spec,
    /// Root filesystem; `spec.root.readonly` is honoured, `spec.root.path` is not used.
    pub rootfs: Rootfs,
    /// Size of the terminal at the start.
    pub terminal_size: Option<TerminalSize>,
    /// Whether the container's standard input stays open for attached clients; otherwise it is `/dev/null`.
    pub open_stdin: bool,
    /// Whether standard input is closed once the first client that was attached to it has closed its side.
    pub stdin_once: bool,
    /// Program made by [`crate::seccomp::compile`], or none to run unconfined.
    pub seccomp: Option<Arc<[u8]>>,
    /// OCI runtime binary that runs the container instead of the built-in runtime.
    pub external_runtime: Option<PathBuf>,
    /// Whether the container goes away when it ends (`--rm`): its exit record is then written but not forced to the
    /// disk, since nobody asks for it after a power failure.
    pub ephemeral: bool,
    /// How much of its log is kept.
    pub log: LogPolicy,
    /// Whether a small init is the container's first process, which starts the command, passes signals on to it, reaps
    /// orphans and ends with the command's exit code (`--init`). It needs no file in the image.
    pub init: bool,
    /// Containers whose namespaces this one joins: `spec` names them by `/proc/PID/ns/…`, with the process ids that
    /// these handles tell. The runtime makes sure that it is theirs that it joins, and not those of a process that got
    /// the number afterwards.
    pub neighbours: Vec<Running>,
}

/// Which part of the log an attached client gets first.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttachFrom {
    /// Only what is written after attaching.
    Now,
    /// Everything since the container's present start.
    Start,
    /// The whole log, former starts included.
    Beginning,
}

/// How a client attaches to a container.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct AttachOptions {
    /// Where the output begins.
    pub from: AttachFrom,
    /// Whether what the client writes goes to the container's standard input.
    pub stdin: bool,
}

/// A further command to run inside a running container.
#[derive(Clone, Debug)]
pub struct ExecRequest {
    /// The process: arguments, environment, working directory, user, capabilities, terminal.
    pub process: Process,
    /// Size of the terminal at the start.
    pub terminal_size: Option<TerminalSize>,
    /// Whether the caller gets the command's output (and its input, see `stdin`); otherwise they are `/dev/null`.
    pub attach: bool,
    /// Whether standard input is open for the caller; otherwise it is `/dev/null`. Needs `attach`.
    pub stdin: bool,
    /// Program made by [`crate::seccomp::compile`], or none.
    pub seccomp: Option<Arc<[u8]>>,
}
