//! Errors of the runtime, one type per operation.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Why a container or a command in it did not start, as far as callers tell causes apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The command does not exist in the container: exit code 127.
    CommandNotFound,
    /// The command exists but cannot be executed: exit code 126.
    CommandNotExecutable,
    /// The working directory cannot be used: exit code 126 or 127 in Docker's terms is not defined, 126 is usual.
    WorkingDirectory,
    /// The disk is full.
    DiskFull,
    /// Anything else.
    Other,
}

/// The runtime could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The supervisor's executable cannot be opened.
    #[error("opening supervisor executable {path}")]
    Executable {
        /// Path that was tried.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A container did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A step of the start failed inside the supervisor; nothing of the container is left.
    #[error("{step}: {message}")]
    Step {
        /// Name of the step, for people.
        step: String,
        /// What went wrong, with path and cause.
        message: String,
        /// Cause as far as callers tell causes apart.
        kind: FailureKind,
    },
    /// A supervisor of this container still runs.
    #[error("container {id} has a running supervisor")]
    AlreadyRunning {
        /// The container.
        id: String,
    },
    /// The supervisor could not be started or talked to.
    #[error("{action}")]
    Supervisor {
        /// What was being done.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The supervisor went away before it said how the start went.
    #[error("supervisor of container {id} died during the start")]
    SupervisorDied {
        /// The container.
        id: String,
    },
}

impl StartError {
    /// Returns the cause, as far as callers tell causes apart.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Step { kind, .. } => *kind,
            Self::AlreadyRunning { .. } | Self::Supervisor { .. } | Self::SupervisorDied { .. } => {
                FailureKind::Other
            }
        }
    }
}

/// A container of a former agent could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ReattachError {
    /// Talking to the supervisor failed.
    #[error("talking to the supervisor of container {id}")]
    Supervisor {
        /// The container.
        id: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The exit record cannot be read.
    #[error("reading exit record {path}")]
    ExitRecord {
        /// The record's file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Attaching to a container failed.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The container has ended and its supervisor is gone.
    #[error("container {id} is not running")]
    NotRunning {
        /// The container.
        id: String,
    },
    /// Talking to the supervisor failed.
    #[error("attaching to container {id}")]
    Supervisor {
        /// The container.
        id: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A request to a running container (signal, resize, pause) failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The container has ended.
    #[error("container {id} is not running")]
    NotRunning {
        /// The container.
        id: String,
    },
    /// The supervisor refused.
    #[error("container {id}: {message}")]
    Refused {
        /// The container.
        id: String,
        /// What the supervisor said.
        message: String,
    },
    /// Talking to the supervisor failed.
    #[error("talking to the supervisor of container {id}")]
    Supervisor {
        /// The container.
        id: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A command did not start inside a container.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The container has ended.
    #[error("container {id} is not running")]
    NotRunning {
        /// The container.
        id: String,
    },
    /// A step of the start failed.
    #[error("{step}: {message}")]
    Step {
        /// Name of the step, for people.
        step: String,
        /// What went wrong, with path and cause.
        message: String,
        /// Cause as far as callers tell causes apart.
        kind: FailureKind,
    },
    /// Talking to the supervisor failed.
    #[error("talking to the supervisor of container {id}")]
    Supervisor {
        /// The container.
        id: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl ExecError {
    /// Returns the cause, as far as callers tell causes apart.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Step { kind, .. } => *kind,
            Self::NotRunning { .. } | Self::Supervisor { .. } => FailureKind::Other,
        }
    }
}
