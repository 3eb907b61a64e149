//! How work on a container's files fails.

use std::io;
use std::path::{Path, PathBuf};

use berth_agent_images::UnpackError;
use berth_agent_snapshots::SnapshotError;

use crate::class::{Classified, ErrorClass};
use crate::container::Unreachable;
use crate::container::containers::LookupError;
use crate::volumes::UseError;

/// Files of a container cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// There is no such container.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It runs, but nothing can be asked of it.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// It is being removed.
    #[error("container {0} is being removed")]
    BeingRemoved(String),
    /// The path leads to nothing.
    #[error("Could not find the file {path} in container {container}")]
    NotFound {
        /// The path as asked for.
        path: String,
        /// The container as asked for.
        container: String,
    },
    /// Something on the way, or what only a directory can be, is none.
    #[error("lstat {path}: not a directory")]
    NotDirectoryAt {
        /// The path as asked for.
        path: String,
    },
    /// Archives are unpacked into directories only.
    #[error("extraction point is not a directory")]
    NotDirectory,
    /// The root file system cannot be written to.
    #[error("container rootfs is marked read-only")]
    RootReadOnly,
    /// A volume cannot be written to.
    #[error("mounted volume is marked read-only")]
    VolumeReadOnly,
    /// Nothing is written to `/proc`, `/sys` and their like.
    #[error("{0} has no files but the kernel's own")]
    Kernels(String),
    /// The container's user is not known to it.
    #[error("unable to find user {user}")]
    User {
        /// The user.
        user: String,
        /// Why.
        #[source]
        source: crate::create::user::UserError,
    },
    /// The file system cannot be opened.
    #[error("opening the files of container {container}")]
    Open {
        /// The container's id.
        container: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file system of a container that does not run cannot be mounted.
    #[error("mounting the files of a container")]
    Mount(#[from] SnapshotError),
    /// A volume of the container cannot be had.
    #[error(transparent)]
    Volume(#[from] UseError),
    /// A file cannot be looked at or read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Path in the container.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// What came cannot be unpacked.
    #[error(transparent)]
    Unpack(UnpackError),
    /// The container was started anew, or removed, in the middle.
    #[error("the container was started again while its files were being copied")]
    Ended,
    /// The client let it stand still while others waited.
    #[error("the copy stood still for too long while others waited for their turn")]
    StoodStill,
    /// There is no thread for it.
    #[error("starting a thread")]
    Thread(#[source] io::Error),
    /// It has a mistake of ours to thank.
    #[error("the copy has broken off for a reason of the agent's")]
    Panicked,
    /// Nobody takes what is read.
    #[error("the receiver is gone")]
    ReceiverGone,
}

impl FilesError {
    pub(super) fn read(path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Read {
            path: Path::new("/").join(path),
            source,
        }
    }
}

/// Tells whether the system says that nothing is there.
pub(super) fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

impl Classified for FilesError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Lookup(error) => error.class(),
            Self::NotFound { .. } => ErrorClass::NotFound,
            Self::BeingRemoved(_) | Self::Ended => ErrorClass::Conflict,
            Self::NotDirectory
            | Self::NotDirectoryAt { .. }
            | Self::RootReadOnly
            | Self::VolumeReadOnly
            | Self::Kernels(_)
            | Self::User { .. } => ErrorClass::InvalidArgument,
            Self::Unpack(error) => error.class(),
            Self::Mount(SnapshotError::DiskFull { .. }) | Self::StoodStill | Self::Thread(_) => {
                ErrorClass::Exhausted
            }
            Self::Unreachable(_)
            | Self::Open { .. }
            | Self::Mount(_)
            | Self::Volume(_)
            | Self::Read { .. }
            | Self::Panicked
            | Self::ReceiverGone => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.reason(),
            Self::NotFound { .. } => "path-not-found",
            Self::NotDirectory | Self::NotDirectoryAt { .. } => "not-a-directory",
            Self::RootReadOnly | Self::VolumeReadOnly | Self::Kernels(_) => "read-only",
            Self::User { .. } => "user-not-found",
            Self::BeingRemoved(_) | Self::Ended => "wrong-state",
            Self::StoodStill => "stood-still",
            Self::Unpack(error) => error.reason(),
            Self::Mount(SnapshotError::DiskFull { .. }) => "disk-full",
            _ => "files-failed",
        }
    }
}
