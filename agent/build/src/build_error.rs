//! How a build fails, and where in the Dockerfile.

use std::fmt;

use berth_agent_engine::{Classified, ErrorClass};
use berth_agent_images::{
    CommitError, ErrorKind, LookupError, ParsePlatformError, ParseReferenceError, PullError,
};
use berth_agent_snapshots::{ParseLayerIdError, SnapshotError};
use berth_agent_state::StateError;

use crate::context::ContextError;
use crate::copy::CopyError;
use crate::dockerfile::{Source, SyntaxProblem};
use crate::event::Gone;
use crate::expand::ExpandError;
use crate::runner::RunnerError;
use crate::settings::SettingError;
use crate::stages::OriginError;

/// A build that failed.
#[derive(Debug)]
pub struct BuildError {
    /// The Dockerfile's name.
    pub dockerfile: String,
    /// The statement at fault, if it is one statement's.
    pub at: Option<Source>,
    /// What went wrong.
    pub kind: BuildErrorKind,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum BuildErrorKind {
    /// The context did not arrive.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The Dockerfile is not well formed.
    #[error(transparent)]
    Syntax(#[from] SyntaxProblem),
    /// A stage or image that is referred to cannot be had.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// A word cannot be expanded.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// An instruction has a value that it cannot have.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Files cannot be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// Something that this builder does not do.
    #[error("{0} is not supported by this builder")]
    Unsupported(String),
    /// A command failed.
    #[error("the command '{command}' returned a non-zero code: {code}{}", oom(*.oom_killed))]
    Command {
        /// The command.
        command: String,
        /// Its exit code.
        code: i32,
        /// The kernel ended it for want of memory.
        oom_killed: bool,
    },
    /// A command cannot be started.
    #[error(transparent)]
    Run(#[from] RunnerError),
    /// A name is no image's.
    #[error("invalid reference format: {name:?}")]
    Name {
        /// As written.
        name: String,
        /// What is wrong with it.
        #[source]
        source: ParseReferenceError,
    },
    /// A platform is none.
    #[error(transparent)]
    Platform(#[from] ParsePlatformError),
    /// A base image cannot be pulled.
    #[error("pulling {name}")]
    Pull {
        /// The image.
        name: String,
        /// Why not.
        #[source]
        source: Box<PullError>,
    },
    /// An image cannot be read.
    #[error(transparent)]
    Image(#[from] LookupError),
    /// An image cannot be made.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A filesystem cannot be made or mounted.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A name for a layer of the builder's own is none.
    #[error("naming a layer")]
    LayerName(#[source] ParseLayerIdError),
    /// The database cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The client has gone.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// A part of the build ended by a fault of the agent.
    #[error("the build was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

fn oom(killed: bool) -> &'static str {
    if killed { " (out of memory)" } else { "" }
}

// === impl BuildError ===

impl BuildError {
    /// The exit code of the command that failed, if one did.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        match &self.kind {
            BuildErrorKind::Command { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The line of the Dockerfile where the statement at fault begins, from 1.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        self.at.as_ref().map(|at| at.line)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = &self.at {
            write!(f, "{}:{}: ", self.dockerfile, at.line)?;
            if !at.text.is_empty() {
                write!(f, "{}: ", at.text)?;
            }
        }
        self.kind.fmt(f)
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The kind's own text is part of this error's.
        self.kind.source()
    }
}

impl Classified for BuildError {
    fn class(&self) -> ErrorClass {
        self.kind.class()
    }

    fn reason(&self) -> &'static str {
        match self.kind {
            BuildErrorKind::Gone(_) => "build-cancelled",
            _ => "build-failed",
        }
    }
}

// === impl BuildErrorKind ===

impl BuildErrorKind {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Syntax(_)
            | Self::Origin(_)
            | Self::Expand(_)
            | Self::Setting(_)
            | Self::Name { .. }
            | Self::Platform(_) => ErrorClass::InvalidArgument,
            Self::Unsupported(_) => ErrorClass::Unsupported,
            Self::Command { .. } | Self::Gone(_) => ErrorClass::Conflict,
            Self::Run(error) => error.class(),
            Self::Pull { source, .. } => class_of(source.kind()),
            Self::Image(error) => class_of(error.kind()),
            Self::Commit(error) => class_of(error.kind()),
            Self::Snapshot(SnapshotError::DiskFull { .. }) => ErrorClass::Exhausted,
            Self::State(error) if error.is_disk_full() => ErrorClass::Exhausted,
            Self::Copy(error) if error.is_disk_full() => ErrorClass::Exhausted,
            Self::Copy(CopyError::Io { .. }) => ErrorClass::Internal,
            Self::Context(error) if error.is_disk_full() => ErrorClass::Exhausted,
            Self::Copy(_) | Self::Context(_) => ErrorClass::InvalidArgument,
            Self::Snapshot(_) | Self::State(_) | Self::LayerName(_) | Self::Interrupted(_) => {
                ErrorClass::Internal
            }
        }
    }
}

fn class_of(kind: ErrorKind) -> ErrorClass {
    match kind {
        ErrorKind::NotFound => ErrorClass::NotFound,
        ErrorKind::Unauthorized => ErrorClass::Unauthorized,
        ErrorKind::Unavailable => ErrorClass::Unavailable,
        ErrorKind::DiskFull => ErrorClass::Exhausted,
        ErrorKind::Invalid | ErrorKind::DigestMismatch => ErrorClass::InvalidArgument,
        ErrorKind::Conflict => ErrorClass::Conflict,
        ErrorKind::Unsupported => ErrorClass::Unsupported,
        ErrorKind::Internal => ErrorClass::Internal,
    }
}
