//! What can be wrong with the description of a mount, in Docker's words.

/// A description of a mount is wrong.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MountSyntaxError {
    /// Too many or too few parts.
    #[error("invalid volume specification: '{0}'")]
    Malformed(String),
    /// Options that do not exist, or that contradict each other.
    #[error("invalid mode: {0}")]
    Mode(String),
    /// The parts do not go together.
    #[error("invalid volume specification: '{text}': {reason}")]
    Short {
        /// The whole text.
        text: String,
        /// What is wrong.
        reason: InvalidMount,
    },
    /// A mount of the long form.
    #[error(transparent)]
    Long(#[from] InvalidMount),
    /// The place of a tmpfs.
    #[error(transparent)]
    Tmpfs(#[from] MountFault),
    /// An option of a tmpfs.
    #[error("invalid tmpfs option \"{0}\"")]
    TmpfsOption(String),
    /// The source is neither an absolute path nor a possible name.
    #[error(
        "create {0}: \"{0}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )]
    VolumeName(String),
    /// Two mounts at one target.
    #[error("Duplicate mount point: {0}")]
    Duplicate(String),
    /// Nobody to take volumes from.
    #[error("volumes-from specification cannot be an empty string")]
    EmptyVolumesFrom,
    /// No such driver.
    #[error("error looking up volume plugin {0}: plugin \"{0}\" not found")]
    Driver(String),
}

/// A mount is wrong.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid mount config for type \"{kind}\": {fault}")]
pub struct InvalidMount {
    /// `bind`, `volume`, `tmpfs` or what was given.
    pub kind: String,
    /// What is wrong.
    pub fault: MountFault,
}

/// What is wrong with a mount.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MountFault {
    /// A path is relative.
    #[error("invalid mount path: '{0}' mount path must be absolute")]
    NotAbsolute(String),
    /// Nothing can be mounted there.
    #[error("invalid specification: destination can't be '/'")]
    Root,
    /// Needed and not there.
    #[error("field {0} must not be empty")]
    Missing(&'static str),
    /// Makes no sense with this kind.
    #[error("field {0} must not be specified")]
    Extra(&'static str),
    /// No such propagation.
    #[error("invalid propagation mode: {0}")]
    Propagation(String),
    /// The machine has no such path.
    #[error("bind source path does not exist: {0}")]
    NoSource(String),
    /// Both at once.
    #[error("options ReadOnlyNonRecursive and ReadOnlyForceRecursive are mutually exclusive")]
    ReadOnlyBelow,
    /// A new volume has nothing in it.
    #[error("must not set Subpath when using anonymous volumes")]
    AnonymousSubpath,
    /// It leads out of the volume.
    #[error("subpath must be a relative path within the volume")]
    Subpath,
    /// A new volume that cannot be written to is of no use.
    #[error("must not set ReadOnly mode when using anonymous volumes")]
    AnonymousReadOnly,
    /// Less than nothing.
    #[error("invalid tmpfs size: {0}")]
    TmpfsSize(i64),
    /// More than permission bits.
    #[error("invalid tmpfs mode: {0:o}")]
    TmpfsMode(u32),
    /// No such kind.
    #[error("mount type unknown")]
    Kind,
}
