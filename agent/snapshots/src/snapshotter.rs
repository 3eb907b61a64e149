//! The seam: what a kind of layered filesystem must do.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use crate::{LayerId, Mounted, Prepared, PrivateMount, SnapshotError, Staging};

/// A store of unpacked layers and of the containers' changes above them.
///
/// Calls may come from several threads at once. Each either happens or leaves nothing behind; what
/// a killed process leaves half-made is removed when the store is opened again. Calls block on the
/// disk for a short time, removals for as long as the removed tree is deep.
pub trait Snapshotter: Debug + Send + Sync {
    /// Makes an empty directory for a layer that is about to be unpacked.
    ///
    /// # Errors
    ///
    /// Fails when the directory cannot be made.
    fn begin_layer(&self) -> Result<Staging, SnapshotError>;

    /// Takes what was written above other layers (an `upper` directory of this store) as the tree
    /// of a new layer; the directory moves and is gone from its old place.
    ///
    /// # Errors
    ///
    /// Fails when it cannot be moved.
    fn begin_layer_from(&self, upper: &Path) -> Result<Staging, SnapshotError>;

    /// Makes the staged tree visible under its name; a layer that exists already is kept instead.
    ///
    /// The rename is atomic but not waited to the disk; see [`Snapshotter::sync`].
    ///
    /// # Errors
    ///
    /// Fails when the tree cannot be renamed.
    fn commit_layer(&self, staging: Staging, layer: &LayerId) -> Result<(), SnapshotError>;

    /// Tells whether the layer is here.
    fn has_layer(&self, layer: &LayerId) -> bool;

    /// Returns the directory of the layer's tree, whether it exists or not.
    fn layer_path(&self, layer: &LayerId) -> PathBuf;

    /// Takes a layer out of the store in an instant; dropping the result deletes the files.
    ///
    /// Returns `None` when there is no such layer. The caller knows that nobody uses it.
    ///
    /// # Errors
    ///
    /// Fails when the tree cannot be moved away.
    fn detach_layer(&self, layer: &LayerId) -> Result<Option<Staging>, SnapshotError>;

    /// Removes a layer; one that does not exist is no error. The caller knows that nobody uses it.
    ///
    /// # Errors
    ///
    /// Fails when the tree cannot be moved away.
    fn remove_layer(&self, layer: &LayerId) -> Result<(), SnapshotError> {
        self.detach_layer(layer).map(drop)
    }

    /// Returns all layers.
    ///
    /// # Errors
    ///
    /// Fails when the directory cannot be read.
    fn list_layers(&self) -> Result<Vec<LayerId>, SnapshotError>;

    /// Makes a container's filesystem above `layers` (bottom first; none gives an empty root).
    ///
    /// # Errors
    ///
    /// Fails when the key is taken, a layer is missing, or the disk is full.
    fn prepare(&self, key: &str, layers: &[LayerId]) -> Result<Prepared, SnapshotError>;

    /// Returns a container's filesystem made earlier.
    ///
    /// # Errors
    ///
    /// Fails when there is none, or when one of its layers is gone.
    fn resume(&self, key: &str) -> Result<Prepared, SnapshotError>;

    /// Makes whole what a power failure left of a container's filesystem above `layers`; files that are there stay.
    ///
    /// # Errors
    ///
    /// Fails when a folder cannot be made or the record not be written.
    fn mend(&self, key: &str, layers: &[LayerId]) -> Result<(), SnapshotError>;

    /// Returns the layers below a container's filesystem, bottom first.
    ///
    /// # Errors
    ///
    /// Fails when there is none with this key.
    fn layers_of(&self, key: &str) -> Result<Vec<LayerId>, SnapshotError>;

    /// Removes a container's filesystem; one that does not exist is no error.
    ///
    /// # Errors
    ///
    /// Fails when the tree cannot be moved away or deleted.
    fn remove(&self, key: &str) -> Result<(), SnapshotError>;

    /// Returns the keys of all containers' filesystems.
    ///
    /// # Errors
    ///
    /// Fails when the directory cannot be read.
    fn list_keys(&self) -> Result<Vec<String>, SnapshotError>;

    /// Mounts a container's filesystem for this process only, until the guard is dropped.
    ///
    /// It must not be mounted elsewhere at the same time, by a running container for example.
    ///
    /// # Errors
    ///
    /// Fails when the kernel refuses the mount.
    fn mount_temporarily(&self, prepared: &Prepared) -> Result<Mounted, SnapshotError>;

    /// Mounts a container's filesystem in a mount namespace that nobody else is in, until the guard
    /// and everything that was opened through it are dropped.
    ///
    /// It must not be mounted elsewhere at the same time, by a running container for example.
    ///
    /// # Errors
    ///
    /// Fails when the kernel refuses the mount.
    fn mount_privately(&self, prepared: &Prepared) -> Result<PrivateMount, SnapshotError>;

    /// Mounts layers (bottom first) read-only for this process, until the guard is dropped.
    ///
    /// # Errors
    ///
    /// Fails when a layer is missing or the kernel refuses the mount.
    fn mount_layers(&self, layers: &[LayerId]) -> Result<Mounted, SnapshotError>;

    /// Waits until everything committed so far has reached the disk.
    ///
    /// # Errors
    ///
    /// Fails when the filesystem reports that something could not be written.
    fn sync(&self) -> Result<(), SnapshotError>;
}
