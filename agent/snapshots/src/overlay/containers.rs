//! Container filesystems: what is made for one key, and the record of the layers below it.

use std::fs;
use std::io;
use std::path::PathBuf;

use berth_agent_sys::root_dir::RootDir;

use super::{EMPTY, Overlay, is_taken, rename_new};
use crate::{LayerId, Prepared, SnapshotError, Staging};

/// The file with the layers' ids, bottom first.
const RECORD: &str = "layers.json";

impl Overlay {
    pub(super) fn container_directory(&self, key: &str) -> Result<PathBuf, SnapshotError> {
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if key.is_empty() || key.starts_with('.') || key.len() > 200 || !key.bytes().all(is_plain) {
            return Err(SnapshotError::InvalidKey {
                key: key.to_owned(),
            });
        }
        Ok(self.root.join("containers").join(key))
    }

    pub(super) fn make_container(
        &self,
        key: &str,
        layers: &[LayerId],
    ) -> Result<Prepared, SnapshotError> {
        let path = self.container_directory(key)?;
        let prepared = self.prepared(key, layers)?;
        let directory = self.stage()?;
        let staging = Staging::new(directory.clone(), directory.clone());
        let fail = |action| SnapshotError::io(action, &directory);
        for name in ["upper", "work"] {
            fs::create_dir(directory.join(name)).map_err(fail("create"))?;
        }
        // The merged root shows the attributes of the upper one.
        if let Some(top) = prepared.lower.first() {
            copy_attributes(top, &directory.join("upper")).map_err(fail("set up"))?;
        }
        let record = serde_json::to_vec(layers).map_err(|source| SnapshotError::Damaged {
            path: directory.join(RECORD),
            source,
        })?;
        fs::write(directory.join(RECORD), record).map_err(fail("write"))?;
        match rename_new(&directory, &path) {
            Ok(()) => staging.hand_over(),
            Err(error) if is_taken(&error) => {
                return Err(SnapshotError::KeyExists {
                    key: key.to_owned(),
                });
            }
            Err(error) => return Err(SnapshotError::io("create", &path)(error)),
        }
        Ok(prepared)
    }

    /// Makes the folders and the record again where they are not whole.
    pub(super) fn mend_container(
        &self,
        key: &str,
        layers: &[LayerId],
    ) -> Result<(), SnapshotError> {
        let directory = self.container_directory(key)?;
        let is_known = self.read_layers(key).is_ok_and(|known| known == layers);
        if is_known && directory.join("upper").is_dir() && directory.join("work").is_dir() {
            return Ok(());
        }
        tracing::warn!(key, "the filesystem of a container is made whole");
        let fail = |action| SnapshotError::io(action, &directory);
        let upper = directory.join("upper");
        let is_new = !upper.is_dir();
        for name in ["upper", "work"] {
            fs::create_dir_all(directory.join(name)).map_err(fail("create"))?;
        }
        let top = self.lower_directories(layers)?.into_iter().next();
        if let Some(top) = top.filter(|_top| is_new) {
            copy_attributes(&top, &upper).map_err(fail("set up"))?;
        }
        let record = serde_json::to_vec(layers).map_err(|source| SnapshotError::Damaged {
            path: directory.join(RECORD),
            source,
        })?;
        let new = directory.join("layers.json.new");
        fs::write(&new, record).map_err(fail("write"))?;
        fs::rename(&new, directory.join(RECORD)).map_err(fail("write"))
    }

    pub(super) fn prepared(
        &self,
        key: &str,
        layers: &[LayerId],
    ) -> Result<Prepared, SnapshotError> {
        let path = self.container_directory(key)?;
        Ok(Prepared {
            lower: self.lower_directories(layers)?,
            upper: path.join("upper"),
            work: path.join("work"),
        })
    }

    /// Returns the layers' directories, topmost first, or the empty one where there are none.
    pub(super) fn lower_directories(
        &self,
        layers: &[LayerId],
    ) -> Result<Vec<PathBuf>, SnapshotError> {
        let mut directories = Vec::with_capacity(layers.len());
        for layer in layers.iter().rev() {
            let path = self.layer_directory(layer).join("fs");
            if !path.is_dir() {
                return Err(SnapshotError::NoSuchLayer {
                    layer: layer.clone(),
                });
            }
            // An empty layer can occur several times in one image; overlayfs refuses that (ELOOP).
            if !directories.contains(&path) {
                directories.push(path);
            }
        }
        if directories.is_empty() {
            directories.push(self.root.join(EMPTY));
        }
        Ok(directories)
    }

    pub(super) fn read_layers(&self, key: &str) -> Result<Vec<LayerId>, SnapshotError> {
        let path = self.container_directory(key)?.join(RECORD);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SnapshotError::NoSuchKey {
                    key: key.to_owned(),
                });
            }
            result => result.map_err(SnapshotError::io("read", &path))?,
        };
        serde_json::from_slice(&text).map_err(|source| SnapshotError::Damaged { path, source })
    }
}

fn copy_attributes(from: &std::path::Path, to: &std::path::Path) -> io::Result<()> {
    let attributes = RootDir::open(from)?.root()?.own_attributes()?;
    RootDir::open(to)?
        .root()?
        .set_own(attributes.mode, attributes.uid, attributes.gid)
}
