//! Removing volumes.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use berth_agent_state::StateError;
use berth_agent_sys::root_dir::RootDir;

use super::using::lock;
use super::{Shared, Volumes};
use crate::record::{Stage, VolumeRecord};

/// The reasons why a volume cannot be removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveVolumeError {
    /// There is no such volume.
    #[error("no such volume: {name}")]
    NotFound {
        /// The volume.
        name: String,
    },
    /// Somebody has it mounted.
    #[error("volume has active mounts")]
    Mounted {
        /// The volume.
        name: String,
    },
    /// Its files cannot be moved away or deleted; what is left goes when the agent starts again.
    #[error("cannot remove the files of volume {name}")]
    Files {
        /// The volume.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The state database failed.
    #[error("cannot record that volume {name} is removed")]
    State {
        /// The volume.
        name: String,
        /// What the database said.
        #[source]
        source: StateError,
    },
}

/// Files of a volume that does not exist any more.
#[derive(Debug)]
#[must_use = "the files are still there"]
pub struct RemovedVolume {
    name: String,
    trash: Option<PathBuf>,
}

// === impl RemovedVolume ===

impl RemovedVolume {
    /// Deletes the files, which takes as long as there are many.
    ///
    /// # Errors
    ///
    /// Returns an error when one cannot be deleted; the next start of the agent tries again.
    pub fn delete(self) -> Result<(), RemoveVolumeError> {
        let Self { name, trash } = self;
        match trash {
            Some(trash) => {
                delete(&trash).map_err(|source| RemoveVolumeError::Files { name, source })
            }
            None => Ok(()),
        }
    }
}

/// Deletes a tree, but nothing that is mounted in it.
pub(super) fn delete(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let name: &OsStr = name;
    RootDir::open(parent)?.root()?.remove_unless_mounted(name)
}

// === impl Volumes ===

impl Volumes {
    /// Removes a volume and its files. The caller makes sure that no container uses it.
    ///
    /// # Errors
    ///
    /// Returns an error when there is no such volume or when the disk or the database fails.
    pub fn remove(&self, name: &str) -> Result<(), RemoveVolumeError> {
        self.detach(name)?.delete()
    }

    /// Removes a volume in an instant; its files are deleted with the result. The caller makes sure
    /// that no container uses it.
    ///
    /// # Errors
    ///
    /// Returns an error when there is no such volume, when it or something in it is mounted, or when
    /// the disk or the database fails.
    pub fn detach(&self, name: &str) -> Result<RemovedVolume, RemoveVolumeError> {
        let state_error = |source| RemoveVolumeError::State {
            name: name.to_owned(),
            source,
        };
        let users = self.shared.users_of(name);
        let users = lock(&users);
        if !users.is_empty() {
            return Err(RemoveVolumeError::Mounted {
                name: name.to_owned(),
            });
        }
        let changing = self.shared.lock();
        // One that could not be moved away is found again here, though nobody else sees it any more.
        let record = self.shared.any_record(name).map_err(state_error)?;
        let Some(record) = record else {
            self.shared.forget_users(name);
            return Err(RemoveVolumeError::NotFound {
                name: name.to_owned(),
            });
        };
        let trash = self.move_away(name, record)?;
        self.shared
            .state
            .write(|writer| writer.remove::<VolumeRecord>(name))
            .map_err(state_error)?;
        self.shared.forget_users(name);
        // The name is free from here on, and the files can take their time.
        drop(changing);
        Ok(RemovedVolume {
            name: name.to_owned(),
            trash,
        })
    }

    fn move_away(
        &self,
        name: &str,
        mut record: VolumeRecord,
    ) -> Result<Option<PathBuf>, RemoveVolumeError> {
        let shared: &Shared = &self.shared;
        let files_error = |source| RemoveVolumeError::Files {
            name: name.to_owned(),
            source,
        };
        // Before anything is written down: a volume in which somebody else mounts stays as it is.
        shared
            .release_for_removal(name, &shared.root.join(name))
            .map_err(files_error)?;
        record.stage = Stage::Removing;
        shared
            .state
            .write(|writer| writer.put(name, &record))
            .map_err(|source| RemoveVolumeError::State {
                name: name.to_owned(),
                source,
            })?;
        shared.rename_away(name).map_err(files_error)
    }
}
