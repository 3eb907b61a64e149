//! What goes wrong with a command of the runtime.

use std::fmt;
use std::io;

use crate::failure::Failure;

/// A command failed; the text is what its caller reads.
#[derive(Debug, thiserror::Error)]
pub(super) enum OciError {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// There is no such container.
    #[error("container does not exist")]
    NoSuchContainer,
    /// There is such a container already.
    #[error("container with given ID already exists")]
    Exists,
    /// The container is not in a state for this.
    #[error("{0}")]
    WrongState(String),
    /// Making the container failed.
    #[error("{}: {}", .0.step, .0.message)]
    Step(Failure),
    /// Something about files failed.
    #[error("{action} {what}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// With what.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl OciError {
    pub(super) fn io(action: &'static str, what: impl fmt::Display, source: io::Error) -> Self {
        Self::Io {
            action,
            what: what.to_string(),
            source,
        }
    }
}

impl From<Failure> for OciError {
    fn from(failure: Failure) -> Self {
        Self::Step(failure)
    }
}
