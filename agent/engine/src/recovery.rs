//! Finds out, when the agent starts, what became of its containers, and removes what a killed agent
//! left half-made.
//!
//! The database says which containers exist. Whether they run is asked of their supervisors, whatever
//! the database says, since a start is not waited to the disk.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use berth_agent_runtime::Reattached;
use berth_agent_state::StateError;

use crate::Engine;
use crate::engine::OpenError;
use crate::id::ContainerId;
use crate::paths::marked;
use crate::record::{ContainerRecord, LooseVolumes};
use crate::signal::SignalNumber;
use crate::step::STEP_PREFIX;

impl Engine {
    /// Brings memory, database, files and kernel together.
    pub(crate) async fn recover(self: &Arc<Self>) -> Result<(), OpenError> {
        let records = self.state.read(|r| r.list::<ContainerRecord>())?;
        let mut kept = Vec::new();
        for (_key, record) in records {
            if self.has_folder(&record) {
                kept.push(record);
            } else {
                self.forget(&record)?;
            }
        }
        let known: HashSet<&str> = kept.iter().map(|record| record.id.as_str()).collect();
        self.end_strays(&known).await;
        self.remove_strays(&known);
        self.remove_loose_volumes()?;
        let ended = self.meet_again(kept).await;
        let live: Vec<String> = self
            .containers
            .all()
            .iter()
            .filter(|container| container.phase().is_alive())
            .map(|container| container.id().to_string())
            .collect();
        // A machine whose firewall cannot be set up still has containers to manage.
        if let Err(error) = self.network.restore(&live).await {
            tracing::error!(error = %error, "networks not restored");
        }
        for container in ended {
            let guard = container.lifecycle.lock().await;
            self.remove_finished(&container).await;
            drop(guard);
        }
        Ok(())
    }

    /// Whether the container still has its folder. A removal that had not come further than marking
    /// it is taken back; only one of its own accord goes on, as it is not waited to the disk.
    fn has_folder(&self, record: &ContainerRecord) -> bool {
        let folder = self.paths.container(&record.id);
        if folder.exists() {
            return true;
        }
        !record.host.auto_remove && fs::rename(marked(&folder), &folder).is_ok()
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

    /// Removes folders and filesystems that belong to no container.
    fn remove_strays(&self, known: &HashSet<&str>) {
        for name in names_in(&self.paths.containers()) {
            if !known.contains(name.as_str()) {
                remove_folder(&self.paths.containers().join(&name));
                self.discard_run(&name);
            }
        }
        for name in names_in(&self.paths.steps()) {
            remove_folder(&self.paths.steps().join(name));
        }
        for name in names_in(&self.paths.container_runs()) {
            if !known.contains(name.as_str()) {
                self.discard_run(&name);
            }
        }
        match self.snapshots.list_keys() {
            Ok(keys) => {
                for key in keys.iter().filter(|key| !known.contains(key.as_str())) {
                    if let Err(error) = self.snapshots.remove(key) {
                        tracing::warn!(key, error = %error, "filesystem not removed");
                    }
                }
            }
            Err(error) => tracing::warn!(error = %error, "filesystems not listed"),
        }
    }

    fn discard_run(&self, name: &str) {
        remove_folder(&self.paths.container_run(name));
    }

    fn remove_loose_volumes(&self) -> Result<(), StateError> {
        for (key, loose) in self.state.read(|r| r.list::<LooseVolumes>())? {
            if let Some(id) = ContainerId::parse(&key) {
                self.drop_loose_volumes(&id, &loose.volumes);
            }
        }
        Ok(())
    }

    /// Ends what runs without a record: build steps whose build died with the agent, above all.
    async fn end_strays(&self, known: &HashSet<&str>) {
        for key in names_in(&self.paths.container_runs()) {
            if known.contains(key.as_str()) {
                continue;
            }
            let root = if key.starts_with(STEP_PREFIX) {
                self.paths.steps()
            } else {
                self.paths.containers()
            };
            let found = self.ask(&key, &root.join(&key)).await;
            if let Some(Reattached::Running(running)) = found
                && running.signal(SignalNumber::KILL.number()).await.is_ok()
            {
                running.wait().await;
            }
        }
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

fn remove_folder(path: &Path) {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), error = %error, "leftover not removed");
        }
        _ => {}
    }
}
