//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::USUAL;
use crate::version;

/// The berth agent: runs the containers of one machine.
#[derive(Debug, Parser)]
#[command(name = "berthd", version = version::LINE, propagate_version = false)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What to be.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serves the engine until it is told to stop (the default)
    Serve(ServeArguments),
    /// Keeps `serve` running in the background, for machines without a service manager
    Watch(WatchArguments),
    /// Connects standard input and output to the running agent, for controllers that come by SSH
    Connect(ConnectArguments),
    /// Runs containers from OCI bundles: create, start, state, kill, delete (see `berthd runtime --help`)
    #[command(disable_help_flag = true)]
    Runtime {
        /// Options, command and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<std::ffi::OsString>,
    },
    /// Shows the version
    Version(VersionArguments),
}

/// How to serve.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServeArguments {
    /// Configuration file
    #[arg(long, default_value = USUAL)]
    pub(crate) config: PathBuf,
    /// Open file descriptor to write "ready" to, once every call is answered
    #[arg(long)]
    pub(crate) ready_fd: Option<i32>,
}

/// How to keep `serve` running.
#[derive(Debug, Args)]
pub(crate) struct WatchArguments {
    #[command(flatten)]
    pub(crate) serve: ServeArguments,
    /// File for the watcher's process id; a watcher that holds it already is not joined by another
    #[arg(long, default_value = "/run/berth/watch.pid")]
    pub(crate) pid_file: PathBuf,
    /// File for what the agent says
    #[arg(long, default_value = "/var/log/berthd.log")]
    pub(crate) log_file: PathBuf,
    /// Stay in the foreground
    #[arg(long)]
    pub(crate) foreground: bool,
}

/// How to reach the running agent.
#[derive(Debug, Args)]
pub(crate) struct ConnectArguments {
    /// Configuration file, which names the agent's socket
    #[arg(long, default_value = USUAL)]
    pub(crate) config: PathBuf,
    /// The agent's socket
    #[arg(long)]
    pub(crate) socket: Option<PathBuf>,
}

/// How to show the version.
#[derive(Debug, Args)]
pub(crate) struct VersionArguments {
    /// As JSON, with the executable's digest
    #[arg(long)]
    pub(crate) json: bool,
}

impl Default for ServeArguments {
    fn default() -> Self {
        Self {
            config: PathBuf::from(USUAL),
            ready_fd: None,
        }
    }
}
