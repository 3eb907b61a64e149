//! Volumes of containers that start and end: those that need it are mounted on the machine meanwhile.

use std::path::PathBuf;

use berth_agent_snapshots::Prepared;
use berth_agent_volumes::{CopyUpError, UseVolumeError, Used};

use crate::Engine;
use crate::container::record::{ContainerRecord, MountKind, MountRecord};

/// A container cannot have its volumes.
#[derive(Debug, thiserror::Error)]
pub enum UseError {
    /// One cannot be mounted.
    #[error("error while mounting volume '{path}'")]
    Mount {
        /// Its place on the machine.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<UseVolumeError>,
    },
    /// What the image has there cannot be copied.
    #[error("copying the image's files into volume {name}")]
    CopyUp {
        /// The volume.
        name: String,
        /// Why.
        #[source]
        source: Box<CopyUpError>,
    },
    /// The image cannot be looked into.
    #[error("opening the image's files")]
    Snapshot(#[source] berth_agent_snapshots::SnapshotError),
}

impl Engine {
    /// Makes sure that a container's volumes are mounted on the machine until `user`, which is the
    /// container's id or whoever else looks at its files, releases them. Returns those whose content is
    /// in memory and was made just now. Blocks.
    pub(crate) fn acquire_volumes<'a>(
        &self,
        record: &'a ContainerRecord,
        user: &str,
    ) -> Result<Vec<(&'a str, &'a MountRecord)>, UseError> {
        let mut fresh = Vec::new();
        for mount in &record.mounts {
            let MountKind::Volume { name, .. } = &mount.kind else {
                continue;
            };
            let used = self.volumes.acquire(name, user);
            let used = used.map_err(|source| UseError::Mount {
                path: PathBuf::from(&mount.source),
                source: Box::new(source),
            })?;
            if used == (Used::Fresh { is_memory: true }) {
                fresh.push((name.as_str(), mount));
            }
        }
        Ok(fresh)
    }

    /// Mounts the volumes of a container that starts. One in memory begins with what the image has,
    /// since what was copied when the container was created is gone. Blocks.
    pub(crate) fn volumes_for_start(
        &self,
        record: &ContainerRecord,
        prepared: &Prepared,
    ) -> Result<(), UseError> {
        let mut fresh = self.acquire_volumes(record, record.id.as_str())?;
        fresh.retain(|(_, mount)| !mount.no_copy);
        self.copy_up(record, &fresh, prepared)
    }

    /// Copies what the image has at the places of volumes that are empty. They are mounted.
    pub(crate) fn copy_up(
        &self,
        record: &ContainerRecord,
        volumes: &[(&str, &MountRecord)],
        prepared: &Prepared,
    ) -> Result<(), UseError> {
        if volumes.is_empty() || record.layers.is_empty() {
            return Ok(());
        }
        let mounted = self
            .snapshots
            .mount_temporarily(prepared)
            .map_err(UseError::Snapshot)?;
        for (name, mount) in volumes {
            self.volumes
                .copy_up(name, mounted.root(), mount.target.as_ref())
                .map_err(|source| UseError::CopyUp {
                    name: (*name).to_owned(),
                    source: Box::new(source),
                })?;
        }
        Ok(())
    }

    /// Gives volumes back.
    pub(crate) fn release_volumes(&self, user: &str) {
        self.volumes.release(user);
    }

    /// Tells the volumes which containers of `live` use them, after the agent was killed.
    pub(crate) fn restore_volumes(&self, live: &[String]) {
        let mut users = Vec::new();
        for container in self.containers.all() {
            let id = container.id().to_string();
            if !live.contains(&id) {
                continue;
            }
            container.with_record(|record| {
                for mount in &record.mounts {
                    if let MountKind::Volume { name, .. } = &mount.kind {
                        users.push((name.clone(), id.clone()));
                    }
                }
            });
        }
        if let Err(error) = self.volumes.restore(&users) {
            tracing::error!(%error, "volumes not restored");
        }
    }
}
