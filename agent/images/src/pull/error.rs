//! How a pull fails.

use crate::registry::RegistryError;
use crate::unpack::UnpackError;
use crate::{Digest, ErrorKind, ImageId, Platform, Reference, StoreError};

/// The reasons why a pull fails.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The registry has no such tag or digest.
    #[error("manifest for {reference} not found")]
    NotFound {
        /// What was asked for.
        reference: String,
        /// The registry's answer.
        #[source]
        source: RegistryError,
    },
    /// The registry lets nobody with these credentials see the repository, if it exists.
    #[error(
        "pull access denied for {repository}, repository does not exist or may require a login"
    )]
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
    /// The reference's registry cannot be an address.
    #[error("the registry of {reference} has no usable address")]
    NoAddress {
        /// What was asked for.
        reference: String,
    },
    /// A list of images has none for the platform.
    #[error("no matching manifest for {platform} in the manifest list entries")]
    NoPlatform {
        /// What was wanted.
        platform: Platform,
    },
    /// The one image there is is for another platform.
    #[error(
        "image with reference {reference} was found but does not match the specified platform: \
         wanted {wanted}, actual: {actual}"
    )]
    WrongPlatform {
        /// What was asked for.
        reference: String,
        /// What was wanted.
        wanted: Box<Platform>,
        /// What is there.
        actual: Box<Platform>,
    },
    /// What is there is no container image.
    #[error("content of type {media_type:?} is not an image that can be pulled")]
    UnsupportedKind {
        /// What it says it is.
        media_type: String,
    },
    /// What arrived is not what was asked for.
    #[error("content with digest {actual} arrived instead of {expected}")]
    DigestMismatch {
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// A document is not well-formed.
    #[error("malformed {what} {digest}")]
    Malformed {
        /// Which kind of document.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Manifest and configuration do not agree.
    #[error(
        "image {image} has {n_manifest} layers in its manifest and {n_config} in its configuration"
    )]
    LayerCount {
        /// The image.
        image: ImageId,
        /// How many the manifest lists.
        n_manifest: usize,
        /// How many the configuration lists.
        n_config: usize,
    },
    /// An image is made of more layers than a machine can stack.
    #[error("image {image} cannot be pulled: max depth exceeded")]
    TooManyLayers {
        /// The image.
        image: ImageId,
    },
    /// A layer cannot be unpacked.
    #[error("cannot unpack layer {layer}")]
    Unpack {
        /// The layer's digest in the registry.
        layer: Digest,
        /// Why not.
        #[source]
        source: UnpackError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PullError {
    /// Returns what kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::NoPlatform { .. } | Self::WrongPlatform { .. } => {
                ErrorKind::NotFound
            }
            Self::Denied { .. } => ErrorKind::Unauthorized,
            Self::Registry { source } => source.kind(),
            Self::UnsupportedKind { .. } => ErrorKind::Unsupported,
            Self::DigestMismatch { .. } => ErrorKind::DigestMismatch,
            Self::NoAddress { .. }
            | Self::Malformed { .. }
            | Self::LayerCount { .. }
            | Self::TooManyLayers { .. } => ErrorKind::Invalid,
            Self::Unpack { source, .. } => source.kind(),
            Self::Store(source) => source.kind(),
        }
    }

    /// Says what a registry's refusal of the manifest means.
    pub(crate) fn registry(reference: &Reference, source: RegistryError) -> Self {
        match &source {
            RegistryError::NotFound { .. } => Self::NotFound {
                reference: reference.familiar(),
                source,
            },
            RegistryError::Unauthorized { .. } => Self::Denied {
                repository: reference.familiar_name(),
                source,
            },
            _ => Self::Registry { source },
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        matches!(
            self,
            Self::Registry {
                source: RegistryError::Cancelled
            }
        )
    }
}
