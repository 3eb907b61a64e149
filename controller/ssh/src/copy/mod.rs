//! Copying files and trees between this computer and hosts, as `scp` does it.
//!
//! Links are followed, never made: what a host sends is files and directories below the target, one
//! step of a path at a time, so that no host can write anywhere else. A file appears under its name
//! when it is whole: it is written under a hidden name (`.NAME.berth-…`) beside it and renamed, or, where
//! that is not possible (a device, a folder that may not be written), in place, and then a copy that
//! breaks off says that the file is incomplete.

mod side;
mod stream;
mod tree;

use std::fmt;
use std::io;

pub use side::Side;

use crate::sftp::SftpError;

/// One end of a copy: a side and a path on it.
#[derive(Debug)]
pub struct End<'a> {
    /// Which computer.
    pub side: Side<'a>,
    /// The path there, as bytes.
    pub path: Vec<u8>,
}

/// How to copy.
#[derive(Clone, Copy, Debug, Default)]
pub struct CopyOptions {
    /// Whether directories are copied with all that is in them.
    pub recursive: bool,
    /// Whether permissions and times are kept to the letter.
    pub preserve: bool,
}

/// Hears how a copy goes.
pub trait CopyProgress: Send + Sync {
    /// A file is copied now; its size may still change.
    fn file(&self, _path: &str, _size: u64) {}
    /// More bytes of it are copied.
    fn bytes(&self, _n_bytes: u64) {}
    /// The file is whole.
    fn done(&self) {}
    /// Something could not be copied; the rest goes on.
    fn problem(&self, error: &CopyError);
}

/// Something could not be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// A path could not be worked on.
    #[error("cannot {what} {place}")]
    Path {
        /// What was tried.
        what: &'static str,
        /// The path, and the machine it is on.
        place: String,
        /// Why.
        #[source]
        source: SideError,
    },
    /// A directory, and directories were not asked for.
    #[error("{0} is a directory; -r copies directories")]
    IsDirectory(String),
    /// Not a file and not a directory.
    #[error("{0} is neither a file nor a directory")]
    Special(String),
    /// A directory has no room in a file's place, or several files in one's.
    #[error("{0} is not a directory")]
    NotDirectory(String),
    /// Both are the same file.
    #[error("{0} would be copied onto itself")]
    Same(String),
    /// Directories lead into each other.
    #[error("{0} is too deep: do its links lead in a circle?")]
    TooDeep(String),
    /// The copy broke off in a file that had to be written in place.
    #[error("{0} is incomplete")]
    Incomplete(String),
    /// All else was copied.
    #[error("{n_problems} of the files and directories could not be copied")]
    Some {
        /// How many.
        n_problems: usize,
    },
}

/// Why a path could not be worked on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SideError {
    /// On this computer.
    #[error(transparent)]
    Local(#[from] io::Error),
    /// On a host.
    #[error(transparent)]
    Remote(#[from] SftpError),
}

impl SideError {
    fn is_absent(&self) -> bool {
        match self {
            Self::Local(error) => error.kind() == io::ErrorKind::NotFound,
            Self::Remote(error) => matches!(error, SftpError::Absent),
        }
    }
}

/// Copies `from` to `to`: into it when it is a directory, else under its name. Patterns (`*`, `?`)
/// in the last steps of a path on a host are resolved there.
///
/// # Errors
///
/// At once when the ends make no sense; [`CopyError::Some`] when parts could not be copied, each of
/// which `progress` was told.
pub async fn copy(
    from: &End<'_>,
    to: &End<'_>,
    options: CopyOptions,
    progress: &dyn CopyProgress,
) -> Result<(), CopyError> {
    tree::copy(from, to, options, progress).await
}

impl fmt::Display for End<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.side.place(&self.path))
    }
}
