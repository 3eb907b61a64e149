//! The directories of one container's root filesystem.

use std::path::PathBuf;

/// What overlayfs needs to mount one container's root filesystem. Nothing is mounted yet.
///
/// Mount it with `redirect_dir=off,metacopy=off,index=off`: layers come from strangers, and what
/// containers write must stay readable without the layers below (for `commit`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The layers' directories, topmost first, as overlayfs takes them. Never empty.
    ///
    /// Long lists do not fit the one page of mount options; `/proc/self/fd/N` names of opened
    /// directories keep them short.
    pub lower: Vec<PathBuf>,
    /// Where the container's changes go.
    pub upper: PathBuf,
    /// Scratch space of overlayfs.
    pub work: PathBuf,
}
