//! How a push fails.

use std::path::PathBuf;

use berth_agent_snapshots::LayerId;

use crate::registry::RegistryError;
use crate::unpack::is_disk_full;
use crate::{ErrorKind, Reference, StoreError};

/// The reasons why a push fails.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Nothing here has this name.
    #[error("an image does not exist locally with the tag: {reference}")]
    NoSuchImage {
        /// What was to be pushed.
        reference: String,
    },
    /// Only tags can be pushed.
    #[error("cannot push a digest reference")]
    DigestReference,
    /// The reference's registry cannot be an address.
    #[error("the registry of {reference} has no usable address")]
    NoAddress {
        /// What was to be pushed.
        reference: String,
    },
    /// The registry does not let these credentials write there.
    #[error("denied: requested access to {repository} is denied")]
    Denied {
        /// The repository.
        repository: String,
        /// The registry's answer.
        #[source]
        source: RegistryError,
    },
    /// The registry cannot be reached, or fails.
    #[error(transparent)]
    Registry {
        /// How.
        #[from]
        source: RegistryError,
    },
    /// The files of a layer are gone.
    #[error("layer {layer} is not on this machine")]
    NoSuchLayer {
        /// The layer.
        layer: LayerId,
    },
    /// The files of a layer cannot be packed.
    #[error("cannot pack {} of layer {layer}", path.display())]
    Pack {
        /// The layer.
        layer: LayerId,
        /// The first file that could not be read.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The files of a layer were changed since it was made.
    #[error("layer {layer} was changed on the disk; its files give {actual}")]
    Changed {
        /// The layer.
        layer: LayerId,
        /// What it is now.
        actual: LayerId,
    },
    /// The manifest cannot be written as JSON.
    #[error("cannot write the manifest")]
    Manifest(#[source] serde_json::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PushError {
    /// Returns what kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSuchImage { .. } => ErrorKind::NotFound,
            Self::DigestReference | Self::NoAddress { .. } => ErrorKind::Invalid,
            Self::Denied { .. } => ErrorKind::Unauthorized,
            Self::Registry { source } => source.kind(),
            Self::Pack { source, .. } if is_disk_full(source) => ErrorKind::DiskFull,
            Self::NoSuchLayer { .. } | Self::Pack { .. } | Self::Manifest(_) => ErrorKind::Internal,
            Self::Changed { .. } => ErrorKind::DigestMismatch,
            Self::Store(source) => source.kind(),
        }
    }

    pub(super) fn registry(reference: &Reference, source: RegistryError) -> Self {
        match &source {
            RegistryError::Unauthorized { .. } => Self::Denied {
                repository: reference.familiar_name(),
                source,
            },
            _ => Self::Registry { source },
        }
    }
}
