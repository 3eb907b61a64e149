//! Finds out, when the agent starts, what became of its containers, and removes what a killed agent
//! left half-made.
//!
//! The database says which containers exist. Whether they run is asked of their supervisors, whatever
//! the database says, since a start is not waited to the disk.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use berth_agent_runtime::{ReattachError, Reattached, Running};
use berth_agent_state::StateError;

use crate::Engine;
use crate::container::Container;
use crate::engine::OpenError;
use crate::id::ContainerId;
use crate::paths::marked;
use crate::record::{ContainerRecord, LooseVolumes};
use crate::signal::SignalNumber;
use crate::status::{Event, Phase};
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

    /// Asks each container's supervisor, all at the same time. Returns those to be removed.
    async fn meet_again(self: &Arc<Self>, records: Vec<ContainerRecord>) -> Vec<Arc<Container>> {
        let meetings = records.into_iter().map(|record| async {
            let answer = self
                .runtime
                .reattach(
                    record.id.as_str(),
                    &self.paths.container(&record.id),
                    &self.paths.container_run(record.id.as_str()),
                )
                .await;
            self.adopt(record, answer)
        });
        futures::future::join_all(meetings)
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    /// Puts a container into memory as it was found. Returns it when it is to be removed.
    fn adopt(
        self: &Arc<Self>,
        mut record: ContainerRecord,
        answer: Result<Reattached, ReattachError>,
    ) -> Option<Arc<Container>> {
        let was_alive = record.status.phase.is_alive();
        let was_paused = record.status.phase == Phase::Paused;
        // What never ran stays, as in Docker; what ran and was to vanish does.
        let mut has_run = was_alive || record.status.phase == Phase::Exited;
        let mut running: Option<Running> = None;
        let mut changed = false;
        match answer {
            Ok(Reattached::Running(found)) => {
                record.status.phase = Phase::Exited;
                let event = Event::Started {
                    pid: found.pid(),
                    at: found.started_at(),
                };
                record.status = record.status.after(event).unwrap_or(record.status);
                if was_paused {
                    // It is frozen still, and would refuse to be thawed if it counted as running.
                    record.status = record.status.after(Event::Paused).unwrap_or(record.status);
                }
                running = Some(found);
                changed = !was_alive;
            }
            Ok(Reattached::Exited(exit)) => {
                has_run = true;
                let is_news = was_alive
                    || record
                        .status
                        .finished_at
                        .is_none_or(|known| known < exit.finished_at);
                if is_news {
                    let event = Event::Exited {
                        exit: crate::status::Exit {
                            code: exit.code,
                            oom_killed: exit.oom_killed,
                        },
                        started_at: Some(exit.started_at),
                        at: exit.finished_at,
                    };
                    record.status = record.status.after(event).unwrap_or(record.status);
                    record.network = None;
                    changed = true;
                }
            }
            Ok(Reattached::Lost) => changed = Self::note_loss(&mut record),
            Err(error) => {
                tracing::error!(container = %record.id, error = %error, "container not found again");
                changed = Self::note_loss(&mut record);
            }
        }
        let vanishes = record.host.auto_remove && running.is_none() && has_run;
        let container = Arc::new(Container::new(record, running.clone()));
        self.containers.insert(Arc::clone(&container));
        if changed {
            self.store_behind(&container);
        }
        if let Some(running) = running {
            self.watch(Arc::clone(&container), running);
        }
        vanishes.then_some(container)
    }

    fn note_loss(record: &mut ContainerRecord) -> bool {
        if !record.status.phase.is_alive() {
            return false;
        }
        let event = Event::Exited {
            exit: crate::status::Exit {
                code: 255,
                oom_killed: false,
            },
            started_at: None,
            at: std::time::SystemTime::now(),
        };
        record.status = record.status.after(event).unwrap_or_default();
        record.network = None;
        true
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
            let found = self
                .runtime
                .reattach(&key, &root.join(&key), &self.paths.container_run(&key))
                .await;
            if let Ok(Reattached::Running(running)) = found
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
