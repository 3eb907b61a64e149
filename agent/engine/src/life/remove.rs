//! Removes a container.
//!
//! The folder is marked by a new name first, then the record goes, then everything else. Whatever
//! moment the agent is killed at, the next one knows what to do: a marked folder whose record is
//! still there was not removed yet (unless the container goes by itself), and folders, filesystems
//! and volumes without a record are leftovers.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use berth_agent_state::{StateError, Writer};

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::containers::LookupError;
use crate::container::record::{ContainerRecord, LooseVolumes};
use crate::container::status::{Event, Phase};
use crate::container::{Container, Observed, Unreachable};
use crate::id::ContainerId;
use crate::life::mounts;
use crate::life::signal::SignalNumber;
use crate::paths::marked;

/// The pauses between tries to remove a container that is made to vanish: doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How to remove a container.
#[derive(Clone, Copy, Debug, Default)]
pub struct RemoveOptions {
    /// Kill it first when it runs.
    pub force: bool,
    /// Remove its anonymous volumes too.
    pub volumes: bool,
}

/// Whether a removal waits until the disk has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durability {
    Waited,
    /// A crash brings back a record that asks for the same removal.
    Behind,
}

/// A container is not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// There is no such container.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It runs.
    #[error(
        "cannot remove container \"/{name}\": container is {state}: stop the container before removing or force remove"
    )]
    Running {
        /// Its name.
        name: String,
        /// Docker's word for its state.
        state: &'static str,
    },
    /// Somebody else removes it.
    #[error("removal of container {0} is already in progress")]
    InProgress(String),
    /// It runs, but nothing can be asked of it.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The database failed.
    #[error("removing the record of container {id}")]
    State {
        /// The container.
        id: ContainerId,
        /// Why.
        #[source]
        source: StateError,
    },
    /// Something that is not the container's is in the way of its removal.
    #[error(
        "removing container {id}: {path} is a mount point, and what is mounted there is not the container's: unmount it first"
    )]
    Mounted {
        /// The container.
        id: ContainerId,
        /// Where it is mounted.
        path: PathBuf,
    },
    /// Its folder cannot be moved away.
    #[error("removing the folder of container {id}")]
    Folder {
        /// The container.
        id: ContainerId,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Engine {
    /// Removes a container.
    ///
    /// # Errors
    /// When there is none, or when it runs and force is not set.
    ///
    /// # Cancel safety
    /// The removal goes on when the future is dropped, so that nobody starts a container whose files go.
    pub async fn remove(
        self: &Arc<Self>,
        name: &str,
        options: RemoveOptions,
    ) -> Result<(), RemoveError> {
        let container = self.containers.find(name)?;
        let (engine, name) = (Arc::clone(self), name.to_owned());
        let work =
            tokio::spawn(async move { engine.remove_found(&container, &name, options).await });
        crate::task::outcome(work).await
    }

    async fn remove_found(
        self: &Arc<Self>,
        container: &Arc<Container>,
        name: &str,
        options: RemoveOptions,
    ) -> Result<(), RemoveError> {
        loop {
            if options.force {
                self.kill_and_wait(container).await?;
            }
            let guard = container.lifecycle.lock().await;
            if options.force {
                self.give_up_restart(container);
            }
            let phase = container.phase();
            if phase.is_alive() && options.force {
                // It was started again in between.
                drop(guard);
                continue;
            }
            if container.observe().borrow().removed {
                if options.force {
                    // It was made to vanish at its end, which has just come.
                    return Ok(());
                }
                return Err(RemoveError::InProgress(name.to_owned()));
            }
            if phase.is_alive() {
                return Err(RemoveError::Running {
                    name: container.name(),
                    state: phase.word(),
                });
            }
            container.copying.end_all().await;
            let engine = Arc::clone(self);
            let target = Arc::clone(container);
            let work = tokio::task::spawn_blocking(move || {
                engine.remove_record(&target, options.volumes, Durability::Waited)
            });
            let result = crate::task::outcome(work).await;
            drop(guard);
            return result;
        }
    }

    /// Removes a container that ended and was made to vanish then. The lifecycle lock is held. When that
    /// fails, whoever waits for the removal is told, and it is tried again and again.
    pub(crate) async fn remove_finished(self: &Arc<Self>, container: &Arc<Container>) {
        if self.try_to_vanish(container).await {
            return;
        }
        self.store_behind(container);
        let mut observed = container.observe();
        let n_exits = observed.borrow().n_exits;
        let (engine, container) = (Arc::clone(self), Arc::clone(container));
        tokio::spawn(async move {
            let has_changed =
                |o: &Observed| o.removed || o.phase.has_process() || o.n_exits != n_exits;
            let mut pause = FIRST_PAUSE;
            loop {
                let changed = observed.wait_for(has_changed);
                if tokio::time::timeout(pause, changed).await.is_ok() {
                    // Somebody removed it, or has started it: then its next end counts.
                    return;
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
                let guard = container.lifecycle.lock().await;
                if has_changed(&observed.borrow()) || engine.try_to_vanish(&container).await {
                    return;
                }
                drop(guard);
            }
        });
    }

    /// Tries to remove a container that is made to vanish; tells of a failure and returns false then.
    async fn try_to_vanish(self: &Arc<Self>, container: &Arc<Container>) -> bool {
        // Since the last try somebody may have begun to copy.
        container.copying.end_all().await;
        let engine = Arc::clone(self);
        let target = Arc::clone(container);
        let work = tokio::task::spawn_blocking(move || {
            engine.remove_record(&target, true, Durability::Behind)
        });
        let Err(error) = crate::task::outcome(work).await else {
            return true;
        };
        let error = error.sentence();
        tracing::error!(container = %container.id(), error, "container not removed");
        container.announce_failed_removal(error);
        false
    }

    fn remove_record(
        &self,
        container: &Container,
        with_volumes: bool,
        durability: Durability,
    ) -> Result<(), RemoveError> {
        let id = container.id().clone();
        let volumes = if with_volumes {
            container.with_record(ContainerRecord::anonymous_volumes)
        } else {
            Vec::new()
        };
        self.check_for_mounts(&id)?;
        self.mark_files(&id).map_err(|source| RemoveError::Folder {
            id: id.clone(),
            source,
        })?;
        let change = |w: &mut Writer<'_>| -> Result<(), StateError> {
            if !volumes.is_empty() {
                w.put(
                    id.as_str(),
                    &LooseVolumes {
                        volumes: volumes.clone(),
                    },
                )?;
            }
            w.remove::<ContainerRecord>(id.as_str())?;
            Ok(())
        };
        let removed = match durability {
            Durability::Waited => self.state.write(change),
            Durability::Behind => self.state.write_behind(change),
        };
        if let Err(source) = removed {
            // It still exists, so it keeps its folder.
            self.unmark_files(&id);
            return Err(RemoveError::State { id, source });
        }
        container.apply(Event::RemovalBegan);
        self.containers.remove(container);
        self.container_event(container, "destroy");
        if durability == Durability::Behind {
            // Whoever waits for a short run need not wait for the deletion of its files.
            container.announce_removal();
        }
        self.discard_files(&id);
        self.drop_loose_volumes(&id, &volumes);
        container.announce_removal();
        Ok(())
    }

    /// Refuses to delete what somebody has mounted below a container's folders: it is not the container's.
    fn check_for_mounts(&self, id: &ContainerId) -> Result<(), RemoveError> {
        let folder = self.paths.container(id);
        let folders = [
            marked(&folder),
            folder,
            self.paths.container_run(id.as_str()),
            self.paths.filesystem(id.as_str()),
        ];
        match mounts::first_below(&folders) {
            Some(path) => Err(RemoveError::Mounted {
                id: id.clone(),
                path,
            }),
            None => Ok(()),
        }
    }

    fn mark_files(&self, id: &ContainerId) -> io::Result<()> {
        let folder = self.paths.container(id);
        match fs::rename(&folder, marked(&folder)) {
            // A removal that was interrupted before has done this.
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn unmark_files(&self, id: &ContainerId) {
        let folder = self.paths.container(id);
        if let Err(error) = fs::rename(marked(&folder), &folder) {
            tracing::error!(container = %id, error = %error, "folder not restored");
        }
    }

    /// Deletes all files of a container that has no record. Goes on after a failure; what is left is
    /// tried again when the agent starts.
    pub(crate) fn discard_files(&self, id: &ContainerId) {
        if let Err(error) = self.snapshots.remove(id.as_str()) {
            tracing::warn!(container = %id, error = %error, "filesystem not removed");
        }
        let folder = self.paths.container(id);
        let marked = marked(&folder);
        for path in [self.paths.container_run(id.as_str()), folder, marked] {
            mounts::remove_folder(&path);
        }
    }

    /// Kills a container and waits for its end; one that does not run is fine.
    async fn kill_and_wait(&self, container: &Arc<Container>) -> Result<(), Unreachable> {
        let mut run = container.this_run();
        if let Some(running) = container.running_or_unreachable()? {
            if container.phase() == Phase::Paused {
                // Frozen processes do not even die.
                drop(running.resume().await);
            }
            // It may have ended by now, which the wait shows.
            if let Err(error) = running.signal(SignalNumber::KILL.number()).await {
                tracing::debug!(container = %container.id(), error = %error, "kill");
            }
        }
        run.ended().await;
        Ok(())
    }
}

impl Classified for RemoveError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Lookup(error) => error.class(),
            Self::Running { .. } | Self::InProgress(_) | Self::Mounted { .. } => {
                ErrorClass::Conflict
            }
            Self::Unreachable(_) | Self::State { .. } | Self::Folder { .. } => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.reason(),
            Self::Running { .. } => "container-running",
            Self::InProgress(_) => "removal-in-progress",
            Self::Mounted { .. } => "mounted",
            Self::Unreachable(_) | Self::State { .. } | Self::Folder { .. } => "remove-failed",
        }
    }
}
