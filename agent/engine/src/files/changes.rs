//! What differs between a container's file system and its image.
//!
//! What a container wrote is one directory (overlayfs's upper one), so only that is walked, and
//! compared with the image where something of the image is hidden by it. It may be in use meanwhile.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_agent_snapshots::{LayerId, Mounted};
use berth_agent_sys::root_dir::{Attributes, Directory, NodeKind, RootDir};

use super::error::{FilesError, is_missing};
use crate::Engine;

/// The attribute of a directory that hides the one of the image.
const OPAQUE: &str = "trusted.overlay.opaque";

/// How something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is there in the image too, but different.
    Modified,
    /// It is not in the image.
    Added,
    /// It is only in the image.
    Deleted,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// How it differs.
    pub kind: ChangeKind,
    /// Path in the container.
    pub path: PathBuf,
}

impl Engine {
    /// Lists what differs from the image: folders before what is in them, names in order.
    ///
    /// # Errors
    /// When there is no such container, or its files cannot be read.
    pub async fn changes(self: &Arc<Self>, name: &str) -> Result<Vec<Change>, FilesError> {
        let container = self.containers.find(name)?;
        let (engine, id) = (Arc::clone(self), container.id().clone());
        let work = tokio::task::spawn_blocking(move || {
            let prepared = engine.snapshots.resume(id.as_str())?;
            let layers: Vec<LayerId> = engine.snapshots.layers_of(id.as_str())?;
            let image = if layers.is_empty() {
                None
            } else {
                Some(engine.snapshots.mount_layers(&layers)?)
            };
            let upper = RootDir::open(&prepared.upper).and_then(|upper| upper.root());
            let upper = upper.map_err(|e| FilesError::read("", e))?;
            Comparison::of(upper, image.as_ref()).map_err(|(path, e)| FilesError::read(path, e))
        });
        crate::task::outcome(work).await
    }
}

/// How deep folders may lie inside one another. Each takes stack and descriptors, and containers decide how many there are.
const MAX_DEPTH: usize = 200;

/// A walk over what was written.
#[derive(Default)]
struct Comparison {
    changes: Vec<Change>,
    /// Folders that are in the list already, or need not be.
    listed: HashSet<PathBuf>,
}

/// A folder of the walk.
struct Level {
    path: PathBuf,
    written: Directory,
    /// The image's folder in the same place, when there is one.
    image: Option<Directory>,
    /// Whether names that only the image has count as deleted: what was written hides all of them.
    is_opaque: bool,
}

type Failed = (PathBuf, io::Error);

impl Comparison {
    fn of(upper: Directory, image: Option<&Mounted>) -> Result<Vec<Change>, Failed> {
        let mut comparison = Self::default();
        comparison.listed.insert(PathBuf::new());
        let image = image.map(|image| image.root().root()).transpose();
        let top = Level {
            path: PathBuf::new(),
            written: upper,
            image: image.map_err(|e| (PathBuf::new(), e))?,
            is_opaque: false,
        };
        comparison.level(&top, MAX_DEPTH)?;
        Ok(comparison.changes)
    }

    fn level(&mut self, level: &Level, depth_left: usize) -> Result<(), Failed> {
        let fail = |e| (level.path.clone(), e);
        let Some(depth_left) = depth_left.checked_sub(1) else {
            return Err(fail(io::Error::other(format!(
                "more than {MAX_DEPTH} folders inside one another"
            ))));
        };
        let mut names = level.written.names().map_err(fail)?;
        if let Some(image) = level.image.as_ref().filter(|_| level.is_opaque) {
            names.extend(image.names().map_err(fail)?);
            names.sort_unstable();
            names.dedup();
        }
        for name in names {
            let path = level.path.join(&name);
            let below = match self.name(level, &name, &path) {
                // It vanished meanwhile, or was replaced.
                Err(error) if is_missing(&error) || is_other(&error) => continue,
                below => below.map_err(|e| (path, e))?,
            };
            if let Some(below) = below {
                self.level(&below, depth_left)?;
            }
        }
        Ok(())
    }

    /// Compares one name; returns the folder to go on in.
    fn name(&mut self, level: &Level, name: &OsStr, path: &Path) -> io::Result<Option<Level>> {
        let original = original(level, name)?;
        let written = match level.written.attributes(name) {
            Err(error) if is_missing(&error) => None,
            written => Some(written?),
        };
        let Some(written) = written.filter(|written| !is_whiteout(written)) else {
            if original.is_some() {
                self.add(ChangeKind::Deleted, path);
            }
            return Ok(None);
        };
        let is_directory = written.kind == NodeKind::Directory;
        match &original {
            None => self.add(ChangeKind::Added, path),
            Some(original) if is_directory && is_same_directory(&written, original) => {}
            Some(_different) => self.add(ChangeKind::Modified, path),
        }
        if !is_directory {
            return Ok(None);
        }
        let written = level.written.open_dir(name)?;
        let is_opaque =
            level.is_opaque || written.own_xattr(OsStr::new(OPAQUE))?.as_deref() == Some(b"y");
        let image = match original.filter(|original| original.kind == NodeKind::Directory) {
            Some(_directory) => level
                .image
                .as_ref()
                .map(|image| image.open_dir(name))
                .transpose()?,
            None => None,
        };
        Ok(Some(Level {
            path: path.to_owned(),
            written,
            image,
            is_opaque,
        }))
    }

    /// Adds a change, and before it the folder that it is in: making and removing changes a folder.
    fn add(&mut self, kind: ChangeKind, path: &Path) {
        let parent = path.parent().unwrap_or_else(|| Path::new(""));
        if kind != ChangeKind::Modified && self.listed.insert(parent.to_owned()) {
            self.push(ChangeKind::Modified, parent);
        }
        self.listed.insert(path.to_owned());
        self.push(kind, path);
    }

    fn push(&mut self, kind: ChangeKind, path: &Path) {
        self.changes.push(Change {
            kind,
            path: Path::new("/").join(path),
        });
    }
}

fn original(level: &Level, name: &OsStr) -> io::Result<Option<Attributes>> {
    let Some(image) = &level.image else {
        return Ok(None);
    };
    match image.attributes(name) {
        Err(error) if is_missing(&error) => Ok(None),
        found => Ok(Some(found?)),
    }
}

/// A folder is copied up for what is in it; only then is it the same.
fn is_same_directory(written: &Attributes, original: &Attributes) -> bool {
    original.kind == NodeKind::Directory
        && written.mode == original.mode
        && (written.uid, written.gid) == (original.uid, original.gid)
        && written.modified == original.modified
}

fn is_whiteout(attributes: &Attributes) -> bool {
    attributes.kind == NodeKind::CharacterDevice && attributes.device == (0, 0)
}

fn is_other(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotADirectory
        || error.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use berth_agent_snapshots::{Overlay, Snapshotter as _};

    use super::*;

    /// Compares after `change` worked on a mounted copy of an image.
    fn changed(change: impl FnOnce(&RootDir, &Path)) -> Vec<String> {
        let temp = tempfile::tempdir().expect("temporary directory");
        let overlay = Overlay::open(temp.path()).expect("store");
        let staging = overlay.begin_layer().expect("layer");
        for folder in ["etc", "data/sub", "empty"] {
            fs::create_dir_all(staging.path().join(folder)).expect("folder");
        }
        for file in ["etc/passwd", "etc/gone", "data/seed", "data/sub/deep"] {
            fs::write(staging.path().join(file), file).expect("file");
        }
        let layer = LayerId::from_sha256(&[1; 32]);
        overlay.commit_layer(staging, &layer).expect("layer");
        let layers = [layer];
        let prepared = overlay.prepare("key", &layers).expect("prepare");
        let mounted = overlay.mount_temporarily(&prepared).expect("mount");
        change(mounted.root(), &mounted.path());
        drop(mounted);
        let image = overlay.mount_layers(&layers).expect("image");
        let upper = RootDir::open(&prepared.upper).and_then(|upper| upper.root());
        let found = Comparison::of(upper.expect("upper"), Some(&image));
        found
            .expect("compared")
            .iter()
            .map(|change| {
                let letter = match change.kind {
                    ChangeKind::Modified => "C",
                    ChangeKind::Added => "A",
                    ChangeKind::Deleted => "D",
                };
                format!("{letter} {}", change.path.display())
            })
            .collect()
    }

    #[test]
    fn additions_changes_and_deletions_come_with_their_folders() {
        let found = changed(|_root, path| {
            fs::remove_file(path.join("etc/gone")).expect("remove");
            fs::set_permissions(path.join("etc/passwd"), fs::Permissions::from_mode(0o600))
                .expect("mode");
            fs::create_dir_all(path.join("new/folder")).expect("folder");
            fs::write(path.join("new/folder/file"), "").expect("file");
        });
        let expected = [
            "C /etc",
            "D /etc/gone",
            "C /etc/passwd",
            "A /new",
            "A /new/folder",
            "A /new/folder/file",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_folder_made_anew_shows_what_it_lost() {
        let found = changed(|_root, path| {
            fs::remove_dir_all(path.join("data")).expect("remove");
            fs::create_dir(path.join("data")).expect("folder");
            fs::write(path.join("data/other"), "").expect("file");
        });
        let expected = ["C /data", "A /data/other", "D /data/seed", "D /data/sub"];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_folder_that_became_a_file_is_one_change() {
        let found = changed(|_root, path| {
            fs::remove_dir_all(path.join("data")).expect("remove");
            fs::write(path.join("data"), "").expect("file");
        });
        assert_eq!(found, ["C /data"]);
    }

    #[test]
    fn nothing_was_changed() {
        let found = changed(|root, _path| {
            root.metadata(Path::new("etc/passwd")).expect("read");
        });
        assert_eq!(found, Vec::<String>::new());
    }
}
