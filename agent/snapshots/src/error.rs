//! How an operation on snapshots fails.

use std::io;
use std::path::{Path, PathBuf};

use crate::LayerId;

/// The reasons why an operation on snapshots fails.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The layer is not unpacked here.
    #[error("layer {layer} is not on this machine")]
    NoSuchLayer {
        /// The layer asked for.
        layer: LayerId,
    },
    /// No container filesystem has this key.
    #[error("no container filesystem has the key {key}")]
    NoSuchKey {
        /// The key asked for.
        key: String,
    },
    /// A container filesystem with this key exists already.
    #[error("a container filesystem with the key {key} exists already")]
    KeyExists {
        /// The key asked for.
        key: String,
    },
    /// The key cannot be a file name.
    #[error("invalid key {key:?} for a container filesystem")]
    InvalidKey {
        /// The key asked for.
        key: String,
    },
    /// The disk (or the quota) below the data root is used up.
    #[error("no space left on the device for {}", path.display())]
    DiskFull {
        /// What was being written.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A file or directory could not be worked on.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The record of a container filesystem cannot be read.
    #[error("the record {} is damaged", path.display())]
    Damaged {
        /// The record's file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl SnapshotError {
    /// Returns a function that wraps a system error, for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, source }
            }
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }
}
