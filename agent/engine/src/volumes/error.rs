//! How the use cases of volumes fail, in Docker's words.

use std::io;

use berth_agent_volumes::{CreateVolumeError, ReadVolumeError, RemoveVolumeError};

use crate::class::{Classified, ErrorClass};
use crate::filters::FilterError;

/// Something about volumes does not work.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// It cannot be made.
    #[error("create {name}")]
    Create {
        /// The volume.
        name: String,
        /// Why.
        #[source]
        source: Box<CreateVolumeError>,
    },
    /// There is no such driver.
    #[error(
        "create {name}: error looking up volume plugin {driver}: plugin \"{driver}\" not found"
    )]
    Driver {
        /// The volume.
        name: String,
        /// The driver.
        driver: String,
    },
    /// There is no such volume.
    #[error("get {0}: no such volume")]
    NotFound(String),
    /// Containers use it.
    #[error("remove {name}: volume is in use - [{}]", users.join(", "))]
    InUse {
        /// The volume.
        name: String,
        /// Ids of the containers.
        users: Vec<String>,
    },
    /// It cannot be removed.
    #[error("remove {name}")]
    Remove {
        /// The volume.
        name: String,
        /// Why.
        #[source]
        source: Box<RemoveVolumeError>,
    },
    /// The volumes cannot be read.
    #[error(transparent)]
    Read(#[from] ReadVolumeError),
    /// A filter is wrong.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Somebody else is at it.
    #[error("a prune operation is already running")]
    Pruning,
}

impl Classified for VolumeError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Driver { .. } | Self::NotFound(_) => ErrorClass::NotFound,
            Self::InUse { .. } | Self::Pruning => ErrorClass::Conflict,
            Self::Remove { source, .. } => match **source {
                RemoveVolumeError::Mounted { .. } => ErrorClass::Conflict,
                _ => ErrorClass::Internal,
            },
            Self::Filter(_) => ErrorClass::InvalidArgument,
            Self::Create { source, .. } => class_of_creation(source),
            Self::Read(_) => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Driver { .. } => "volume-driver-not-found",
            Self::NotFound(_) => "volume-not-found",
            Self::InUse { .. } => "volume-in-use",
            Self::Filter(_) => "invalid-filter",
            Self::Pruning => "prune-running",
            Self::Create { .. } => match self.class() {
                ErrorClass::InvalidArgument => "invalid-volume",
                ErrorClass::Exhausted => "disk-full",
                _ => "volume-failed",
            },
            Self::Remove { .. } | Self::Read(_) => "volume-failed",
        }
    }
}

/// Returns what kind of failure it is that a volume cannot be made.
pub(crate) fn class_of_creation(error: &CreateVolumeError) -> ErrorClass {
    match error {
        CreateVolumeError::Name(_) | CreateVolumeError::Option(_) => ErrorClass::InvalidArgument,
        CreateVolumeError::Directory { .. } | CreateVolumeError::State { .. } => {
            let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
            while let Some(inner) = cause {
                let is_full = |e: &io::Error| e.kind() == io::ErrorKind::StorageFull;
                if inner.downcast_ref().is_some_and(is_full) {
                    return ErrorClass::Exhausted;
                }
                cause = inner.source();
            }
            ErrorClass::Internal
        }
    }
}
