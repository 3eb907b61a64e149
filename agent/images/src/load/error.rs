//! Why an archive is not taken in.

use berth_agent_snapshots::LayerId;
use berth_agent_state::StateError;
use berth_archive::TarError;

use crate::unpack::UnpackError;
use crate::{Digest, ErrorKind, ImageId, LookupError, StoreError};

/// The reasons why an archive of images is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read to its end, or is no archive.
    #[error("cannot read the archive")]
    Archive(#[source] TarError),
    /// It cannot be decompressed or did not arrive.
    #[error("cannot read the archive")]
    Read(#[source] std::io::Error),
    /// It has no list of images.
    #[error("invalid archive: it has neither a manifest.json nor an index.json")]
    NoList,
    /// It has more of something than is taken.
    #[error("invalid archive: too many {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
    },
    /// A member is not what an archive of images has.
    #[error("invalid archive: {path:?} {fault}")]
    Member {
        /// Its path.
        path: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// Something that is named is not there.
    #[error("invalid archive: {path:?} is missing")]
    Missing {
        /// Its path.
        path: String,
    },
    /// A list or a configuration makes no sense.
    #[error("invalid archive: {what} makes no sense")]
    Json {
        /// Which.
        what: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A configuration is no text.
    #[error("invalid archive: a configuration is no text")]
    NotText,
    /// Content is not what it is called.
    #[error("invalid archive: the digest of {path:?} is {actual}")]
    Digest {
        /// Its path.
        path: String,
        /// What it is.
        actual: Digest,
    },
    /// A layer is not what the configuration says.
    #[error("invalid diffID for layer: expected \"{expected}\", got \"{actual}\"")]
    DiffId {
        /// What it should be.
        expected: LayerId,
        /// What it is.
        actual: LayerId,
    },
    /// The lists do not agree.
    #[error("invalid manifest, layers length mismatch: expected {n_contents}, got {n_layers}")]
    LayerCount {
        /// Of the configuration.
        n_layers: usize,
        /// Of the archive's list.
        n_contents: usize,
    },
    /// There are more layers than can be stacked.
    #[error("image {} has too many layers", image.short())]
    TooManyLayers {
        /// The image.
        image: ImageId,
    },
    /// The image is for another system.
    #[error("cannot load {os} image on {host}")]
    System {
        /// What it is for.
        os: String,
        /// What this is.
        host: String,
    },
    /// No image in it is for this machine.
    #[error("invalid archive: no image in it is for this machine")]
    NoPlatform,
    /// A name is none.
    #[error("invalid tag {name:?}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        #[source]
        source: LookupError,
    },
    /// A layer cannot be unpacked.
    #[error("cannot unpack layer {layer}")]
    Unpack {
        /// The layer.
        layer: LayerId,
        /// What is wrong with it.
        #[source]
        source: UnpackError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LoadError {
    /// Returns what kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(source) => source.kind(),
            Self::Unpack { source, .. } => match source.kind() {
                ErrorKind::DiskFull => ErrorKind::DiskFull,
                _ => ErrorKind::Invalid,
            },
            _ => ErrorKind::Invalid,
        }
    }
}

impl From<StateError> for LoadError {
    fn from(error: StateError) -> Self {
        Self::Store(error.into())
    }
}
