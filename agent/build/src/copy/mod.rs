//! `COPY` and `ADD`: finding sources, naming their content, putting them into an image's tree.
//!
//! Sources lie in a tree (the context, a stage, an image) and the destination in another. Every path
//! is resolved inside its tree, so that neither a link in the context nor one in the image leads out
//! of it.

mod archive;
mod digest;
mod find;
mod node;
mod owner;
mod place;

use std::io;
use std::path::{Path, PathBuf};

use berth_agent_images::{ErrorKind, UnpackError};

pub(crate) use self::digest::digest;
pub(crate) use self::find::find;
pub(crate) use self::owner::{Owner, resolve_owner};
pub(crate) use self::place::{make_directories, place};

/// Why files cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A source that is not there.
    #[error("{path:?} not found{}", if *.ignored { " (excluded by .dockerignore)" } else { "" })]
    NotFound {
        /// As written.
        path: String,
        /// Whether `.dockerignore` takes it out of the context.
        ignored: bool,
    },
    /// Wildcards that nothing matches.
    #[error("no source files match {pattern:?}")]
    NoMatch {
        /// As written.
        pattern: String,
    },
    /// Several sources, but the destination is no directory.
    #[error(
        "when using {keyword} with more than one source file, the destination must be a \
         directory and end with a /"
    )]
    DestinationNotDirectory {
        /// `COPY` or `ADD`.
        keyword: &'static str,
    },
    /// Something else is where a directory must be.
    #[error("cannot copy to non-directory: {}", path.display())]
    NotDirectory {
        /// The place.
        path: PathBuf,
    },
    /// A directory is where a file must be.
    #[error("cannot overwrite directory {} with non-directory", path.display())]
    IsDirectory {
        /// The place.
        path: PathBuf,
    },
    /// `--chown` that names nobody.
    #[error("invalid --chown {spec:?}: {problem}")]
    Owner {
        /// As written.
        spec: String,
        /// What is wrong with it.
        problem: String,
    },
    /// `--chmod` that is no mode.
    #[error("invalid chmod parameter: '{0}'. it should be octal string and between 0 and 07777")]
    Mode(String),
    /// A file or directory cannot be worked on.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what, inside its tree.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// An archive that cannot be unpacked.
    #[error("in archive {}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: UnpackError,
    },
}

/// What is to be put where.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    /// The instruction, for messages.
    pub(crate) keyword: &'static str,
    /// Found sources, inside their tree.
    pub(crate) sources: Vec<PathBuf>,
    /// Files whose content stands in the Dockerfile: name and content.
    pub(crate) contents: Vec<(String, Vec<u8>)>,
    /// Absolute path in the image.
    pub(crate) destination: PathBuf,
    /// The destination was written as a directory.
    pub(crate) into_directory: bool,
    /// Who owns what is new; none: as in the sources, see `keep_owner`.
    pub(crate) owner: Option<Owner>,
    /// Mode of everything that is new; none: as in the sources.
    pub(crate) mode: Option<u32>,
    /// Owners and extended attributes of the sources mean something (they come from an image).
    pub(crate) keep_owner: bool,
    /// Archives are unpacked.
    pub(crate) unpack: bool,
}

// === impl CopyError ===

impl CopyError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// Whether the disk is full.
    pub(crate) fn is_disk_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => is_disk_full(source),
            Self::Archive { source, .. } => source.kind() == ErrorKind::DiskFull,
            _ => false,
        }
    }
}

/// Whether the system says that there is no room.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Reads `--chmod`.
pub(crate) fn parse_mode(text: &str) -> Result<Option<u32>, CopyError> {
    if text.is_empty() {
        return Ok(None);
    }
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o7777 && !text.starts_with('+') => Ok(Some(mode)),
        _ => Err(CopyError::Mode(text.to_owned())),
    }
}

#[cfg(test)]
mod tests;
