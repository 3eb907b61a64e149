//! A root filesystem mounted for this process only.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use berth_agent_sys::root_dir::RootDir;

/// A mounted root filesystem that no other process sees, unmounted when this is dropped.
///
/// It is attached nowhere: the kernel drops it with the last open file in it, also when the process
/// is killed.
#[derive(Debug)]
pub struct Mounted {
    root: RootDir,
    /// Keeps together what is mounted inside.
    _namespace: Option<OwnedFd>,
}

impl Mounted {
    pub(crate) fn new(root: RootDir) -> Self {
        Self {
            root,
            _namespace: None,
        }
    }

    pub(crate) fn in_namespace(root: RootDir, namespace: OwnedFd) -> Self {
        Self {
            root,
            _namespace: Some(namespace),
        }
    }

    /// Returns the root directory, below which names are resolved as the container would.
    #[must_use]
    pub fn root(&self) -> &RootDir {
        &self.root
    }

    /// Returns a name of the root directory that is valid in this process while the guard lives.
    ///
    /// Symbolic links followed through this name lead out of the mount; use [`Mounted::root`] for
    /// paths that a container chose.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.root.proc_path()
    }
}
