//! A layer while it is being unpacked.

use std::path::{Path, PathBuf};

use crate::overlay::remove_tree;

/// A directory that becomes a layer, or was one; it vanishes when it is dropped.
#[derive(Debug)]
pub struct Staging {
    /// The directory that holds the tree; empty once it was handed over.
    directory: PathBuf,
    tree: PathBuf,
}

impl Staging {
    pub(crate) fn new(directory: PathBuf, tree: PathBuf) -> Self {
        Self { directory, tree }
    }

    /// Returns the root of the layer's tree.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.tree
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Gives the directory up after it was renamed, so that dropping removes nothing.
    pub(crate) fn hand_over(mut self) {
        self.directory = PathBuf::new();
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let (Some(parent), Some(name)) = (self.directory.parent(), self.directory.file_name())
        else {
            return;
        };
        // What cannot be removed now is removed when the store is opened the next time.
        if let Err(error) = remove_tree(parent, name) {
            tracing::warn!(%error, "a staged tree stays behind");
        }
    }
}
