//! The store for overlayfs: plain directories, stacked by the kernel.
//!
//! ```text
//! layers/<hex>/fs                     an unpacked layer
//! staging/<n>/                        whatever is being made or removed
//! containers/<key>/{upper,work,layers.json}
//! mounts/<n>                          mount points, used for an instant
//! empty/{lower,below}                 stand in where overlayfs wants more layers than there are
//! ```
//!
//! Everything appears and vanishes by one rename between these directories, so a killed process
//! leaves at most something in `staging`, which opening empties.
//!
//! Nothing is waited to the disk here. The owner of the layers' records marks them as not yet safe,
//! calls [`Snapshotter::sync`], and after a power cut drops those that are still so marked.

mod containers;
mod mount;
mod private;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use berth_agent_sys::root_dir::RootDir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

pub use private::PrivateMount;

use crate::{LayerId, Mounted, Prepared, SnapshotError, Snapshotter, Staging};

/// The lower directory of a root without layers.
const EMPTY: &str = "empty/lower";

/// The bottom of a stack that nobody writes to.
const BELOW: &str = "empty/below";

/// Layers and container filesystems for overlayfs, below one directory.
#[derive(Debug)]
pub struct Overlay {
    root: PathBuf,
    next: AtomicU64,
}

impl Overlay {
    /// Opens or makes the store, and removes what a killed process left half-made.
    ///
    /// One process at a time may use a store; the caller's lock on its state sees to that.
    ///
    /// # Errors
    ///
    /// Fails when the directories cannot be made or cleaned.
    pub fn open(root: &Path) -> Result<Self, SnapshotError> {
        for name in ["layers", "staging", "containers", "mounts", EMPTY, BELOW] {
            let path = root.join(name);
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(SnapshotError::io("create", &path))?;
        }
        // Root directories of filesystems without layers look like this one: as in every image.
        let empty = root.join(EMPTY);
        fs::set_permissions(&empty, fs::Permissions::from_mode(0o755))
            .map_err(SnapshotError::io("set up", &empty))?;
        let overlay = Self {
            root: root.to_owned(),
            next: AtomicU64::new(0),
        };
        mount::release_leftovers(&overlay.root.join("mounts"))?;
        for name in list(&overlay.root.join("staging"))? {
            // Somebody may have mounted something there; that is no reason not to run anything.
            if let Err(error) = remove_tree(&overlay.root.join("staging"), OsStr::new(&name)) {
                tracing::warn!(name, error = %error, "leftover not removed");
            }
        }
        Ok(overlay)
    }

    /// Makes a directory in `staging` that nobody else uses.
    fn stage(&self) -> Result<PathBuf, SnapshotError> {
        let path = self.unused("staging");
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(SnapshotError::io("create", &path))?;
        Ok(path)
    }

    fn unused(&self, area: &str) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.root.join(area).join(number.to_string())
    }

    /// Takes a tree out of sight by one rename; dropping the result takes it apart.
    fn move_away(&self, path: &Path) -> Result<Option<Staging>, SnapshotError> {
        let trash = self.unused("staging");
        match fs::rename(path, &trash) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            result => {
                result.map_err(SnapshotError::io("move away", path))?;
                Ok(Some(Staging::new(trash.clone(), trash)))
            }
        }
    }

    fn layer_directory(&self, layer: &LayerId) -> PathBuf {
        self.root.join("layers").join(layer.hex())
    }
}

impl Snapshotter for Overlay {
    fn begin_layer(&self) -> Result<Staging, SnapshotError> {
        let directory = self.stage()?;
        let tree = directory.join("fs");
        let staging = Staging::new(directory, tree.clone());
        fs::create_dir(&tree).map_err(SnapshotError::io("create", &tree))?;
        // What the root of the filesystem shows unless the layer says otherwise, as Docker's; the
        // umask of the process must not decide it.
        fs::set_permissions(&tree, fs::Permissions::from_mode(0o755))
            .map_err(SnapshotError::io("set up", &tree))?;
        Ok(staging)
    }

    fn begin_layer_from(&self, upper: &Path) -> Result<Staging, SnapshotError> {
        let directory = self.stage()?;
        let tree = directory.join("fs");
        let staging = Staging::new(directory, tree.clone());
        fs::rename(upper, &tree).map_err(SnapshotError::io("move", upper))?;
        Ok(staging)
    }

    fn commit_layer(&self, staging: Staging, layer: &LayerId) -> Result<(), SnapshotError> {
        let path = self.layer_directory(layer);
        match rename_new(staging.directory(), &path) {
            Ok(()) => staging.hand_over(),
            // Somebody else was faster; the trees are equal, since their digests are.
            Err(error) if is_taken(&error) => {}
            Err(error) => return Err(SnapshotError::io("commit", &path)(error)),
        }
        Ok(())
    }

    fn has_layer(&self, layer: &LayerId) -> bool {
        self.layer_path(layer).is_dir()
    }

    fn layer_path(&self, layer: &LayerId) -> PathBuf {
        self.layer_directory(layer).join("fs")
    }

    fn detach_layer(&self, layer: &LayerId) -> Result<Option<Staging>, SnapshotError> {
        self.move_away(&self.layer_directory(layer))
    }

    fn list_layers(&self) -> Result<Vec<LayerId>, SnapshotError> {
        let names = list(&self.root.join("layers"))?;
        let ids = names.iter().map(|hex| format!("sha256:{hex}").parse());
        Ok(ids.filter_map(Result::ok).collect())
    }

    fn prepare(&self, key: &str, layers: &[LayerId]) -> Result<Prepared, SnapshotError> {
        self.make_container(key, layers)
    }

    fn resume(&self, key: &str) -> Result<Prepared, SnapshotError> {
        let layers = self.layers_of(key)?;
        self.prepared(key, &layers)
    }

    fn mend(&self, key: &str, layers: &[LayerId]) -> Result<(), SnapshotError> {
        self.mend_container(key, layers)
    }

    fn layers_of(&self, key: &str) -> Result<Vec<LayerId>, SnapshotError> {
        self.read_layers(key)
    }

    fn remove(&self, key: &str) -> Result<(), SnapshotError> {
        self.move_away(&self.container_directory(key)?).map(drop)
    }

    fn list_keys(&self) -> Result<Vec<String>, SnapshotError> {
        list(&self.root.join("containers"))
    }

    fn mount_temporarily(&self, prepared: &Prepared) -> Result<Mounted, SnapshotError> {
        let writable = Some((prepared.upper.as_path(), prepared.work.as_path()));
        mount::detached(&self.unused("mounts"), &prepared.lower, writable)
    }

    fn mount_privately(&self, prepared: &Prepared) -> Result<PrivateMount, SnapshotError> {
        // Everybody mounts there, each in a namespace of his own.
        PrivateMount::of(&self.root.join("mounts"), prepared)
    }

    fn mount_layers(&self, layers: &[LayerId]) -> Result<Mounted, SnapshotError> {
        let mut lower = self.lower_directories(layers)?;
        // Overlayfs wants two directories when there is none to write to.
        lower.push(self.root.join(BELOW));
        mount::detached(&self.unused("mounts"), &lower, None)
    }

    fn sync(&self) -> Result<(), SnapshotError> {
        let directory =
            fs::File::open(&self.root).map_err(SnapshotError::io("open", &self.root))?;
        nix::unistd::syncfs(&directory)
            .map_err(|errno| SnapshotError::io("write back", &self.root)(errno.into()))
    }
}

/// Returns the names in a directory that are text, sorted.
fn list(directory: &Path) -> Result<Vec<String>, SnapshotError> {
    let fail = || SnapshotError::io("list", directory);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(fail())? {
        names.extend(entry.map_err(fail())?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// Renames unless the new name is taken.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let flags = RenameFlags::RENAME_NOREPLACE;
    Ok(renameat2(AT_FDCWD, from, AT_FDCWD, to, flags)?)
}

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EEXIST | Errno::ENOTEMPTY)
    )
}

pub(crate) fn remove_tree(parent: &Path, name: &OsStr) -> Result<(), SnapshotError> {
    RootDir::open(parent)
        .and_then(|root| root.root()?.remove_unless_mounted(name))
        .map_err(SnapshotError::io("remove", &parent.join(name)))
}
