//! Volumes as seen from containers: who uses which, and the use cases of `volume …`.

pub(crate) mod error;
mod list;
mod prune;
pub(crate) mod using;

use std::collections::BTreeMap;
use std::sync::PoisonError;

use berth_agent_volumes::{CreateVolume, RemoveVolumeError, Volume};

use crate::Engine;
use crate::container::record::MountKind;
use crate::create::mounts::{ANONYMOUS_LABEL, LOCAL_DRIVER};
use crate::view::disk_usage;

pub use error::VolumeError;
pub use prune::PrunedVolumes;
pub use using::UseError;

/// What a new volume shall be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeRequest {
    /// Its name; empty: one is made up.
    pub name: String,
    /// `local`, which is what empty means too.
    pub driver: String,
    /// Options for the driver: `type`, `device`, `o`.
    pub options: BTreeMap<String, String>,
    /// What to attach to it.
    pub labels: BTreeMap<String, String>,
}

/// What a volume costs and who needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeUsage {
    /// The volume.
    pub volume: Volume,
    /// Bytes of its files.
    pub size: u64,
    /// Containers that use it, running or not.
    pub n_users: usize,
}

impl Engine {
    /// Makes a volume; one of that name that exists is returned as it is. Blocks.
    ///
    /// # Errors
    /// When the name, the driver or an option is wrong, or when the disk fails.
    pub fn create_volume(&self, request: VolumeRequest) -> Result<Volume, VolumeError> {
        let VolumeRequest {
            name,
            driver,
            options,
            mut labels,
        } = request;
        if !matches!(driver.as_str(), "" | LOCAL_DRIVER) {
            return Err(VolumeError::Driver { name, driver });
        }
        let is_new = name.is_empty() || !matches!(self.volumes.get(&name), Ok(Some(_)));
        if name.is_empty() {
            labels.insert(ANONYMOUS_LABEL.to_owned(), String::new());
        }
        let wanted = CreateVolume {
            name: Some(name.clone()).filter(|name| !name.is_empty()),
            labels,
            options,
        };
        let volume = self
            .volumes
            .create(wanted)
            .map_err(|source| VolumeError::Create {
                name,
                source: Box::new(source),
            })?;
        if is_new {
            self.volume_event(&volume.name, "create", []);
        }
        Ok(volume)
    }

    /// Returns a volume.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn inspect_volume(&self, name: &str) -> Result<Volume, VolumeError> {
        let found = self.volumes.get(name)?;
        found.ok_or_else(|| VolumeError::NotFound(name.to_owned()))
    }

    /// Removes a volume that no container uses, and its files. Blocks while they are deleted.
    ///
    /// # Errors
    /// When there is none of that name, which `force` overlooks, or when a container uses it.
    pub fn remove_volume(&self, name: &str, force: bool) -> Result<(), VolumeError> {
        match self.remove_unused(name) {
            Err(VolumeError::NotFound(_)) if force => Ok(()),
            result => result,
        }
    }

    fn remove_unused(&self, name: &str) -> Result<(), VolumeError> {
        let failed = |source| match source {
            RemoveVolumeError::NotFound { name } => VolumeError::NotFound(name),
            source => VolumeError::Remove {
                name: name.to_owned(),
                source: Box::new(source),
            },
        };
        let removed = {
            // Whoever is making a container may have chosen this volume a moment ago.
            let _no_creation = self
                .image_use
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            let users = self.users_of_volume(name);
            if !users.is_empty() {
                return Err(VolumeError::InUse {
                    name: name.to_owned(),
                    users,
                });
            }
            self.volumes.detach(name).map_err(failed)?
        };
        self.volume_event(name, "destroy", []);
        removed.delete().map_err(failed)
    }

    /// Returns the ids of the containers that use a volume, running or not.
    pub(crate) fn users_of_volume(&self, wanted: &str) -> Vec<String> {
        let is_wanted =
            |kind: &MountKind| matches!(kind, MountKind::Volume { name, .. } if name == wanted);
        let mut all = self.containers.all();
        all.retain(|container| {
            container.with_record(|record| record.mounts.iter().any(|m| is_wanted(&m.kind)))
        });
        all.iter().map(|found| found.id().to_string()).collect()
    }

    /// Adds up the files of all volumes that are directories of this machine. Blocks.
    ///
    /// # Errors
    /// When the volumes cannot be read.
    pub fn volume_usage(&self) -> Result<Vec<VolumeUsage>, VolumeError> {
        let all = self.volumes.list()?.into_iter();
        // What is mounted from elsewhere takes no room here, as Docker counts too.
        let own = all.filter(|volume| volume.options.is_empty());
        Ok(own.map(|volume| self.usage_of(volume)).collect())
    }

    fn usage_of(&self, volume: Volume) -> VolumeUsage {
        VolumeUsage {
            size: disk_usage::of_tree(&volume.mountpoint),
            n_users: self.users_of_volume(&volume.name).len(),
            volume,
        }
    }
}
