//! What else is mounted in a container's filesystem.

use std::path::PathBuf;

/// A file or directory of the machine at a place in a container's filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Path on the machine, with everything mounted below it.
    pub source: PathBuf,
    /// Path in the filesystem; links in it are followed inside. Made when it is missing.
    pub target: PathBuf,
    /// Nobody may write to it.
    pub read_only: bool,
}
