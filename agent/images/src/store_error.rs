//! How the store itself fails, below every operation.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use berth_agent_snapshots::SnapshotError;
use berth_agent_state::StateError;

use crate::ErrorKind;
use crate::unpack::is_disk_full;

/// The reasons why the database, the snapshotter or the files below an operation fail.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk (or the quota) is used up.
    #[error("no space left on the device for {}", path.display())]
    DiskFull {
        /// What was being written.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A file of compressed content cannot be worked on.
    #[error("cannot {action} {}", path.display())]
    Content {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The snapshotter failed.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The database failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// A task of this process was stopped.
    #[error("a background task was stopped")]
    Stopped {
        /// Why.
        #[source]
        source: tokio::task::JoinError,
    },
}

impl StoreError {
    /// Returns what kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        let mut cause: Option<&dyn Error> = Some(self);
        while let Some(error) = cause {
            if error.downcast_ref().is_some_and(is_disk_full) {
                return ErrorKind::DiskFull;
            }
            cause = error.source();
        }
        ErrorKind::Internal
    }

    /// Returns a function that wraps a system error, for `map_err`.
    pub(crate) fn content(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| {
            if is_disk_full(&source) {
                return Self::DiskFull { path, source };
            }
            Self::Content {
                action,
                path,
                source,
            }
        }
    }
}
