//! Volumes that have to be mounted on the machine while somebody uses them.
//!
//! Who uses a volume is known in memory only. After a kill the agent tells again who still does
//! ([`Volumes::restore`]), and the kernel tells what is mounted, so that no count on a disk can be wrong.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use berth_agent_state::StateError;

use super::{Shared, Volumes};
use crate::mounted;
use crate::options::MountPlan;
use crate::record::{Stage, VolumeRecord, mountpoint};

/// The reasons why a volume cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UseVolumeError {
    /// There is no such volume.
    #[error("no such volume: {name}")]
    NotFound {
        /// The volume.
        name: String,
    },
    /// It cannot be mounted.
    #[error("failed to mount local volume")]
    Mount(#[source] io::Error),
    /// The state database failed.
    #[error("cannot read volume {name}")]
    State {
        /// The volume.
        name: String,
        /// What the database said.
        #[source]
        source: StateError,
    },
}

/// What using a volume meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Used {
    /// It is a directory that is always there.
    Directory,
    /// Somebody else had it mounted.
    Mounted,
    /// It was mounted just now.
    Fresh {
        /// What is written to it goes when the last user does.
        is_memory: bool,
    },
}

/// Those who use one volume.
pub(super) type Users = Arc<Mutex<BTreeSet<String>>>;

// === impl Volumes ===

impl Volumes {
    /// Notes that `user` uses a volume from now on, and mounts it on the machine if it has to be. May
    /// take as long as a file server takes to answer.
    ///
    /// # Errors
    ///
    /// Returns an error when there is no such volume or it cannot be mounted.
    pub fn acquire(&self, name: &str, user: &str) -> Result<Used, UseVolumeError> {
        let users = self.shared.users_of(name);
        let mut users = lock(&users);
        let Some(record) = self.shared.usable(name)? else {
            return Err(UseVolumeError::NotFound {
                name: name.to_owned(),
            });
        };
        let Some(plan) = MountPlan::read(&record.options) else {
            return Ok(Used::Directory);
        };
        let place = mountpoint(&self.shared.root, name);
        let is_there = mounted::is_at(&place).map_err(UseVolumeError::Mount)?;
        let is_memory = plan.is_memory();
        if !is_there {
            let plan = plan.resolve().map_err(UseVolumeError::Mount)?;
            mounted::attach(&plan, &place).map_err(UseVolumeError::Mount)?;
        }
        users.insert(user.to_owned());
        Ok(if is_there {
            Used::Mounted
        } else {
            Used::Fresh { is_memory }
        })
    }

    /// Notes that `user` uses no volume any more, and unmounts those that nobody uses. What cannot be
    /// unmounted is logged, and tried again when the agent starts.
    pub fn release(&self, user: &str) {
        for (name, users) in self.shared.all_users() {
            let mut users = lock(&users);
            if users.remove(user) && users.is_empty() {
                self.shared.unmount(&name);
            }
        }
    }

    /// Tells who uses what after the agent was killed, and unmounts what nobody does.
    ///
    /// # Errors
    ///
    /// Returns an error when the records cannot be read.
    pub fn restore(&self, users: &[(String, String)]) -> Result<(), UseVolumeError> {
        let records = self
            .shared
            .state
            .read(|reader| reader.list::<VolumeRecord>());
        let records = records.map_err(|source| UseVolumeError::State {
            name: String::new(),
            source,
        })?;
        for (name, record) in records {
            if MountPlan::read(&record.options).is_none() {
                continue;
            }
            let known = self.shared.users_of(&name);
            let mut known = lock(&known);
            let of_it = users.iter().filter(|(volume, _)| *volume == name);
            known.extend(of_it.map(|(_, user)| user.clone()));
            if known.is_empty() {
                self.shared.unmount(&name);
            }
        }
        Ok(())
    }
}

// === impl Shared ===

impl Shared {
    /// Returns who uses a volume, to be locked while that changes or the volume goes.
    pub(super) fn users_of(&self, name: &str) -> Users {
        let mut all = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(name.to_owned()).or_default())
    }

    fn all_users(&self) -> Vec<(String, Users)> {
        let all = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .map(|(name, users)| (name.clone(), Arc::clone(users)))
            .collect()
    }

    pub(super) fn forget_users(&self, name: &str) {
        let mut all = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(name);
    }

    fn usable(&self, name: &str) -> Result<Option<VolumeRecord>, UseVolumeError> {
        let record = self.any_record(name);
        let record = record.map_err(|source| UseVolumeError::State {
            name: name.to_owned(),
            source,
        })?;
        Ok(record.filter(|record| record.stage != Stage::Removing))
    }

    fn unmount(&self, name: &str) {
        let place = mountpoint(&self.root, name);
        if let Err(error) = mounted::detach(&place) {
            tracing::warn!(volume = name, %error, "a volume stays mounted");
        }
    }

    /// Makes sure that deleting `folder` deletes files of the volume and nobody else's.
    pub(super) fn release_for_removal(&self, name: &str, folder: &Path) -> io::Result<()> {
        if let Ok(Some(record)) = self.any_record(name)
            && MountPlan::read(&record.options).is_some()
        {
            mounted::detach(&mountpoint(&self.root, name))?;
        }
        match mounted::below(folder)? {
            None => Ok(()),
            Some(place) => Err(busy(&place)),
        }
    }
}

fn busy(place: &Path) -> io::Error {
    let text = format!("something is mounted at {}", place.display());
    io::Error::new(io::ErrorKind::ResourceBusy, text)
}

pub(super) fn lock(users: &Mutex<BTreeSet<String>>) -> MutexGuard<'_, BTreeSet<String>> {
    // A panic in between leaves a set that is right or one too large.
    users.lock().unwrap_or_else(PoisonError::into_inner)
}
