//! Why images cannot be written to an archive.

use std::io;
use std::path::PathBuf;

use berth_agent_snapshots::LayerId;
use berth_agent_state::StateError;

use crate::{Digest, ErrorKind, LookupError, StoreError};

/// The reasons why images cannot be written to an archive.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// There is no such image.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// A layer is not here any more.
    #[error("layer {layer} is missing")]
    NoSuchLayer {
        /// The layer.
        layer: LayerId,
    },
    /// A layer cannot be read.
    #[error("cannot pack {} of layer {layer}", path.display())]
    Pack {
        /// The layer.
        layer: LayerId,
        /// The file in it.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The files of a layer are not what they were when it was made.
    #[error("the files of layer {layer} have changed: their digest is {actual}")]
    Changed {
        /// The layer.
        layer: LayerId,
        /// The digest of what is there.
        actual: Digest,
    },
    /// The archive cannot be written.
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
    /// A list cannot be written.
    #[error("cannot write the list of images")]
    Json(#[source] serde_json::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SaveError {
    /// Returns what kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Lookup(source) => source.kind(),
            Self::Store(source) => source.kind(),
            Self::NoSuchLayer { .. }
            | Self::Pack { .. }
            | Self::Changed { .. }
            | Self::Write(_)
            | Self::Json(_) => ErrorKind::Internal,
        }
    }
}

impl From<StateError> for SaveError {
    fn from(error: StateError) -> Self {
        Self::Store(error.into())
    }
}
