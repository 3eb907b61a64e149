//! How making an image here fails.

use std::path::PathBuf;

use berth_agent_state::StateError;

use crate::pack::PackError;
use crate::unpack::{UnpackError, is_disk_full};
use crate::{ErrorKind, ImageId, StoreError};

/// The reasons why a commit fails.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The image to build upon is not here (any more).
    #[error("parent image {id} is not on this machine")]
    NoSuchParent {
        /// The parent.
        id: ImageId,
    },
    /// A name with a digest cannot be given to an image.
    #[error("cannot commit to digest reference")]
    DigestAsTag,
    /// The files cannot be read.
    #[error("cannot read the changed files in {}", path.display())]
    Files {
        /// The first that could not be read.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The files cannot be copied into the layer.
    #[error("cannot copy the changed files")]
    Copy(#[source] UnpackError),
    /// The configuration cannot be written as JSON.
    #[error("cannot write the configuration")]
    Configuration(#[source] serde_json::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The reasons why an import fails.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The archive cannot be unpacked.
    #[error("cannot unpack the root filesystem")]
    Unpack(#[source] UnpackError),
    /// A name with a digest cannot be given to an image.
    #[error("cannot import to a digest reference")]
    DigestAsTag,
    /// The image cannot be made of what was unpacked.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl CommitError {
    /// Returns what kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSuchParent { .. } => ErrorKind::NotFound,
            Self::DigestAsTag => ErrorKind::Invalid,
            Self::Files { source, .. } if is_disk_full(source) => ErrorKind::DiskFull,
            Self::Files { .. } | Self::Configuration(_) => ErrorKind::Internal,
            Self::Copy(source) => source.kind(),
            Self::Store(source) => source.kind(),
        }
    }
}

impl ImportError {
    /// Returns what kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unpack(source) => source.kind(),
            Self::DigestAsTag => ErrorKind::Invalid,
            Self::Commit(source) => source.kind(),
        }
    }
}

impl From<StateError> for CommitError {
    fn from(error: StateError) -> Self {
        Self::Store(error.into())
    }
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        Self::Commit(error.into())
    }
}

impl From<PackError> for CommitError {
    fn from(PackError { path, source }: PackError) -> Self {
        Self::Files { path, source }
    }
}
