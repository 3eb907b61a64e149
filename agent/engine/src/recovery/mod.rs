//! Finds out, when the agent starts, what became of its containers, and takes up removals that a killed agent
//! left half-done.
//!
//! The database says which containers exist. Whether they run is asked of their supervisors, whatever
//! the database says, since a start is not waited to the disk.

pub(crate) mod adopt;
pub(crate) mod boot;
pub(crate) mod strays;

use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;

use berth_agent_snapshots::LayerId;
use berth_agent_state::StateError;

use crate::Engine;
use crate::container::record::{ContainerRecord, LooseVolumes};
use crate::engine::OpenError;
use crate::id::ContainerId;
use crate::paths::marked;
use crate::recovery::adopt::Next;

impl Engine {
    /// Brings memory, database, files and kernel together.
    pub(crate) async fn recover(self: &Arc<Self>) -> Result<(), OpenError> {
        let is_boot = boot::is_first_start(self.paths.run_root());
        let records = self.state.read(|r| r.list::<ContainerRecord>())?;
        let mut kept = Vec::new();
        for (_key, record) in records {
            if self.has_folder(&record) {
                self.mend(&record);
                kept.push(record);
            } else {
                self.forget(&record)?;
            }
        }
        let known: HashSet<&str> = kept.iter().map(|record| record.id.as_str()).collect();
        let unended = self.end_strays(&known).await;
        self.remove_strays(|key| known.contains(key) || unended.contains(key));
        self.remove_loose_volumes()?;
        let ended = self.meet_again(kept, is_boot).await;
        for container in self.containers.all() {
            let guard = container.lifecycle.lock().await;
            self.thaw_after_crash(&container).await;
            drop(guard);
        }
        let live: Vec<String> = self
            .containers
            .all()
            .iter()
            .filter(|container| container.phase().has_process())
            .map(|container| container.id().to_string())
            .chain(unended.iter().cloned())
            .collect();
        // A machine whose firewall cannot be set up still has containers to manage.
        let definitions = self.network_definitions();
        if let Err(error) = self.network.restore(&live, definitions).await {
            tracing::error!(error = %error, "networks not restored");
        }
        self.restore_volumes(&live);
        self.reconcile_networks().await;
        for id in strays::names_in(&self.paths.all_host_mounts()) {
            if !live.contains(&id) {
                self.release_mounts(&id);
            }
        }
        let mut to_start = Vec::new();
        for (container, next) in ended {
            match next {
                Next::Remove => {
                    let guard = container.lifecycle.lock().await;
                    self.remove_finished(&container).await;
                    drop(guard);
                }
                Next::StartIn(pause) => self.start_later(&container, pause),
                Next::Start => to_start.push(container),
            }
        }
        self.start_all(to_start);
        if is_boot {
            boot::note_start(self.paths.run_root());
        }
        self.end_later(unended);
        Ok(())
    }

    /// Whether the container still has its folder. A removal that had not come further than marking
    /// it is taken back; only one of its own accord goes on, as it is not waited to the disk. A record
    /// whose folder a power failure took gets a new one: the container was promised.
    fn has_folder(&self, record: &ContainerRecord) -> bool {
        let folder = self.paths.container(&record.id);
        if folder.exists() {
            return true;
        }
        if record.host.auto_remove {
            return false;
        }
        fs::rename(marked(&folder), &folder).is_ok()
            || DirBuilder::new().mode(0o700).create(&folder).is_ok()
    }

    /// Makes the container's filesystem whole after a power failure.
    fn mend(&self, record: &ContainerRecord) {
        let layers: Result<Vec<LayerId>, _> = record.layers.iter().map(|l| l.parse()).collect();
        let Ok(layers) = layers else { return };
        if let Err(error) = self.snapshots.mend(record.id.as_str(), &layers) {
            tracing::error!(container = %record.id, %error, "filesystem not made whole");
        }
    }

    /// Ends the removal of a container.
    fn forget(&self, record: &ContainerRecord) -> Result<(), StateError> {
        let id = record.id.as_str();
        let volumes = if record.host.auto_remove {
            record.anonymous_volumes()
        } else {
            Vec::new()
        };
        self.state.write_behind(|w| {
            if !volumes.is_empty() {
                w.put(id, &LooseVolumes { volumes })?;
            }
            w.remove::<ContainerRecord>(id).map(drop)
        })
    }

    fn remove_loose_volumes(&self) -> Result<(), StateError> {
        for (key, loose) in self.state.read(|r| r.list::<LooseVolumes>())? {
            if let Some(id) = ContainerId::parse(&key) {
                self.drop_loose_volumes(&id, &loose.volumes);
            }
        }
        Ok(())
    }
}
