//! How unpacking fails.

use std::io;
use std::path::{Path, PathBuf};

use berth_archive::TarError;

use crate::ErrorKind;

/// The reasons why an archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The disk (or the quota) is used up.
    #[error("no space left on the device for {}", path.display())]
    DiskFull {
        /// The member that did not fit.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A member cannot be made.
    #[error("cannot unpack {}", path.display())]
    Entry {
        /// The member.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A hard link has no original inside the tree.
    #[error("cannot link {} to {}", path.display(), target.display())]
    Link {
        /// The member.
        path: PathBuf,
        /// What it should be another name of.
        target: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A member makes no sense.
    #[error("malformed member {}: {detail}", path.display())]
    Malformed {
        /// The member.
        path: PathBuf,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// A member would take the place of a directory, which it may not here.
    #[error(
        "cannot overwrite directory {:?} with non-directory {:?}",
        absolute(path),
        absolute(below)
    )]
    OverDirectory {
        /// The directory.
        path: PathBuf,
        /// Where the archive is unpacked.
        below: PathBuf,
    },
    /// A directory would take the place of something else, which it may not here.
    #[error(
        "cannot overwrite non-directory {:?} with directory {:?}",
        absolute(path),
        absolute(below)
    )]
    OverOther {
        /// What is there.
        path: PathBuf,
        /// Where the archive is unpacked.
        below: PathBuf,
    },
    /// A member is of a kind that is not known.
    #[error("member {} is of the unknown kind {letter:?}", path.display())]
    UnknownKind {
        /// The member.
        path: PathBuf,
        /// The letter of its kind.
        letter: char,
    },
    /// The archive is not well-formed.
    #[error("malformed tar: {detail}")]
    Archive {
        /// What is wrong with it.
        detail: &'static str,
    },
    /// The archive cannot be read or decompressed.
    #[error("cannot read the archive")]
    Read {
        /// The reader's error.
        #[source]
        source: io::Error,
    },
}

impl UnpackError {
    /// Returns what kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::DiskFull { .. } => ErrorKind::DiskFull,
            Self::Entry { .. } => ErrorKind::Internal,
            Self::OverDirectory { .. }
            | Self::OverOther { .. }
            | Self::Link { .. }
            | Self::Malformed { .. }
            | Self::UnknownKind { .. }
            | Self::Archive { .. }
            | Self::Read { .. } => ErrorKind::Invalid,
        }
    }

    pub(crate) fn entry(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if is_disk_full(&source) {
            return Self::DiskFull { path, source };
        }
        Self::Entry { path, source }
    }
}

/// Returns a path of a tree as the tree's own processes would write it.
fn absolute(path: &Path) -> PathBuf {
    Path::new("/").join(path)
}

/// Tells whether the system says that there is no room.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

impl From<TarError> for UnpackError {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Malformed(detail) => Self::Archive { detail },
            TarError::Read(source) | TarError::Write(source) => Self::Read { source },
        }
    }
}
