//! What else is mounted in a container's filesystem.

use std::path::PathBuf;

/// A file or directory of the machine at a place in a container's filesystem.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bind {
    /// Path on the machine.
    pub source: PathBuf,
    /// Path below the source, found without ever leaving it; empty: the source itself.
    pub subpath: PathBuf,
    /// With everything that is mounted below the source.
    pub recursive: bool,
    /// Path in the filesystem; links in it are followed inside. Made when it is missing.
    pub target: PathBuf,
    /// Who may write to it.
    pub access: Access,
}

/// Who may write to what is mounted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody, as far as the source allows it.
    #[default]
    ReadWrite,
    /// Nobody, except to what is mounted below the source.
    ReadOnlyHere,
    /// Nobody.
    ReadOnly,
}
