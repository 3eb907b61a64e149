//! Finishing what a killed agent began.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use berth_agent_state::StateError;
use berth_agent_sys::root_dir::RootDir;

use super::{OpenError, Shared, TRASH, remove};
use crate::copy;
use crate::record::{Stage, VolumeRecord, mountpoint};

// === impl Shared ===

impl Shared {
    pub(super) fn recover(&self) -> Result<(), OpenError> {
        let directory_error = |path: PathBuf| move |source| OpenError::Directory { path, source };
        let root_error = || directory_error(self.root.clone());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.root)
            .map_err(root_error())?;
        let records = self
            .state
            .read(|reader| reader.list::<VolumeRecord>())
            .map_err(|source| OpenError::State { source })?;
        for (name, record) in records {
            self.recover_one(&name, record)
                .map_err(|source| OpenError::State { source })?
                .map_err(directory_error(self.root.join(&name)))?;
        }
        if let Err(error) = remove::delete(&self.root.join(TRASH)) {
            // Files that cannot be deleted cost space, and are no reason to serve nothing.
            tracing::warn!(%error, "files of removed volumes could not be deleted");
        }
        Ok(())
    }

    /// Returns the database's errors apart from the file system's.
    fn recover_one(&self, name: &str, record: VolumeRecord) -> Result<io::Result<()>, StateError> {
        match record.stage {
            Stage::Ready => Ok(self.make_directory(name)),
            // What is mounted there is somebody's own, and others may have written to it meanwhile.
            Stage::Filling if !record.options.is_empty() => {
                self.set_stage(name, record, Stage::Ready)?;
                Ok(Ok(()))
            }
            Stage::Filling => {
                let emptied = self
                    .make_directory(name)
                    .and_then(|()| RootDir::open(&mountpoint(&self.root, name))?.root())
                    .and_then(|top| copy::empty(&top));
                if emptied.is_ok() {
                    self.set_stage(name, record, Stage::Ready)?;
                }
                Ok(emptied)
            }
            Stage::Removing => {
                let folder = self.root.join(name);
                let renamed = self
                    .release_for_removal(name, &folder)
                    .and_then(|()| self.rename_away(name));
                if renamed.is_ok() {
                    self.state
                        .write(|writer| writer.remove::<VolumeRecord>(name))?;
                }
                Ok(renamed.map(drop).or_else(|error| {
                    tracing::warn!(volume = name, %error, "a volume cannot be removed now");
                    Ok(())
                }))
            }
        }
    }
}
