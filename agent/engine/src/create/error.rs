//! Why a container is not created, in Docker's words.

use std::io;
use std::path::PathBuf;

use berth_agent_images::{ErrorKind, LookupError};
use berth_agent_snapshots::SnapshotError;
use berth_agent_state::StateError;

use crate::class::{Classified, ErrorClass};
use crate::container::containers::NameInUse;
use crate::container::restart::RestartPolicyError;
use crate::create::check::InvalidOption;
use crate::create::health::HealthCheckError;
use crate::create::limits::LimitError;
use crate::create::links::LinkError;
use crate::create::merge::NoCommand;
use crate::create::mount::MountSyntaxError;
use crate::create::mounts::MountError;
use crate::create::network_request::PortError;
use crate::life::signal::InvalidSignal;
use crate::spec::{DeviceError, SecurityError};
use crate::streams::log_driver::LogDriverError;

/// A container cannot be created. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The image is not here.
    #[error(transparent)]
    Image(#[from] LookupError),
    /// The image is for another kind of machine.
    #[error(
        "image with reference {image} was found but its platform ({actual}) does not match the specified platform ({wanted})"
    )]
    Platform {
        /// The image as the caller wrote it.
        image: String,
        /// What was asked for.
        wanted: String,
        /// What it is for.
        actual: String,
    },
    /// The name is not allowed.
    #[error("Invalid container name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    InvalidName(String),
    /// The name is taken.
    #[error(transparent)]
    NameInUse(#[from] NameInUse),
    /// There is nothing to run.
    #[error(transparent)]
    NoCommand(#[from] NoCommand),
    /// A mount text is wrong.
    #[error(transparent)]
    MountSyntax(#[from] MountSyntaxError),
    /// A mount cannot be made ready.
    #[error(transparent)]
    Mount(Box<MountError>),
    /// A device cannot be given.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A security option is wrong.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The stop signal is none.
    #[error(transparent)]
    Signal(#[from] InvalidSignal),
    /// What is asked of a network cannot be.
    #[error(transparent)]
    Endpoint(crate::networks::NetworkError),
    /// Ports or the kind of network are wrong.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The restart policy makes no sense.
    #[error(transparent)]
    Restart(#[from] RestartPolicyError),
    /// The health check makes no sense.
    #[error(transparent)]
    Health(#[from] HealthCheckError),
    /// A link cannot be made.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The working directory is relative.
    #[error("the working directory '{0}' is invalid, it needs to be an absolute path")]
    RelativeWorkingDir(String),
    /// The log driver or its options are wrong.
    #[error(transparent)]
    LogDriver(#[from] LogDriverError),
    /// A limit makes no sense.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Something else cannot be.
    #[error(transparent)]
    Invalid(#[from] InvalidOption),
    /// An option has no meaning as given.
    #[error("invalid {option}: {value}")]
    Option {
        /// Which option.
        option: &'static str,
        /// What was given.
        value: String,
    },
    /// The runtime does not exist.
    #[error("unknown or invalid runtime name: {0}")]
    Runtime(String),
    /// The container's folder cannot be made.
    #[error("creating folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The filesystem cannot be made.
    #[error("creating the container's filesystem")]
    Snapshot(#[source] SnapshotError),
    /// The record cannot be written.
    #[error("recording the container")]
    State(#[from] StateError),
    /// The work was torn down in the middle.
    #[error("creating the container was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
}

impl From<MountError> for CreateError {
    fn from(error: MountError) -> Self {
        Self::Mount(Box::new(error))
    }
}

impl Classified for CreateError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Image(error) => match error.kind() {
                ErrorKind::NotFound => ErrorClass::NotFound,
                ErrorKind::Invalid => ErrorClass::InvalidArgument,
                _ => ErrorClass::Internal,
            },
            // So that a client pulls the right one.
            Self::Platform { .. } => ErrorClass::NotFound,
            Self::Port(PortError::Network(_)) => ErrorClass::NotFound,
            Self::NameInUse(_) => ErrorClass::AlreadyExists,
            Self::Snapshot(SnapshotError::DiskFull { .. }) => ErrorClass::Exhausted,
            Self::State(error) if error.is_disk_full() => ErrorClass::Exhausted,
            Self::Folder { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                ErrorClass::Exhausted
            }
            Self::Mount(error) => error.class(),
            Self::Snapshot(_) | Self::State(_) | Self::Folder { .. } | Self::Interrupted(_) => {
                ErrorClass::Internal
            }
            _ => ErrorClass::InvalidArgument,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Image(error) if error.kind() == ErrorKind::NotFound => "image-not-found",
            Self::Platform { .. } => "image-not-found",
            Self::Port(PortError::Network(_)) => "network-not-found",
            Self::NameInUse(_) => "name-in-use",
            Self::NoCommand(_) => "no-command",
            Self::Link(error) => error.reason(),
            Self::Mount(error) => error.reason(),
            _ => match self.class() {
                ErrorClass::Exhausted => "disk-full",
                ErrorClass::InvalidArgument => "invalid-argument",
                _ => "create-failed",
            },
        }
    }
}
