//! Starts a container: network, network files, specification, supervisor.
//!
//! Nothing here waits for the disk. What a crash could lose, that the container runs, is found again
//! by asking its supervisor.

pub(crate) mod error;
pub(crate) mod host_mounts;
mod hosts_file;
pub(crate) mod links;
pub(crate) mod mount_points;
pub(crate) mod neighbours;
pub(crate) mod network_files;
mod propagation;
mod request;
pub(crate) mod user_mounts;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use berth_agent_network::Attachment;
use berth_agent_runtime::{AttachFrom, AttachOptions, Running};
use berth_agent_state::StateError;

use crate::Engine;
use crate::class::Classified as _;
use crate::container::Container;
use crate::container::record::{ContainerRecord, NetworkRecord};
use crate::container::status::{Event, Phase};
use crate::life::finish::Run;
use crate::start::error::StartError;
use crate::start::request::Parts;

impl Engine {
    /// Starts a container and returns what the kernel lacked for it. One that runs is no error.
    ///
    /// # Errors
    /// When it cannot be started; see [`StartError`].
    ///
    /// # Cancel safety
    /// The start goes on when the future is dropped.
    pub async fn start(self: &Arc<Self>, name: &str) -> Result<Vec<String>, StartError> {
        let container = self.containers.find(name)?;
        let engine = Arc::clone(self);
        let work = tokio::spawn(async move {
            let guard = container.lifecycle.lock().await;
            let result = engine.start_by_hand(&container).await;
            drop(guard);
            result
        });
        crate::task::outcome(work).await
    }

    async fn start_by_hand(
        self: &Arc<Self>,
        container: &Arc<Container>,
    ) -> Result<Vec<String>, StartError> {
        match container.phase() {
            // Docker counts one that waits for its start as running.
            Phase::Restarting => return Ok(Vec::new()),
            Phase::Created | Phase::Exited => {
                self.note_start_by_hand(container)
                    .await
                    .map_err(StartError::State)?;
            }
            Phase::Running | Phase::Paused | Phase::Dead | Phase::Removing => {}
        }
        self.start_locked(container).await
    }

    pub(crate) async fn start_locked(
        self: &Arc<Self>,
        container: &Arc<Container>,
    ) -> Result<Vec<String>, StartError> {
        match container.phase() {
            Phase::Running => return Ok(Vec::new()),
            Phase::Paused => return Err(StartError::Paused),
            Phase::Removing | Phase::Dead => return Err(StartError::BeingRemoved),
            Phase::Created | Phase::Exited | Phase::Restarting => {}
        }
        container.copying.end_all().await;
        let record = container.record();
        match self.run(container, &record).await {
            Ok(running) => Ok(self.started(container, running).await),
            Err(error) => {
                self.note_failure(container, &error).await;
                Err(error)
            }
        }
    }

    async fn run(
        self: &Arc<Self>,
        container: &Arc<Container>,
        record: &ContainerRecord,
    ) -> Result<Running, StartError> {
        let began = Instant::now();
        self.runtime.expect_start();
        let id = record.id.as_str();
        let prepared = self.snapshots.resume(id).map_err(StartError::Snapshot)?;
        let shared = self.share(record)?;
        if let Some(network) = &shared.network {
            container.change_record(|record| {
                record.config.hostname.clone_from(&network.hostname);
                record.config.domainname.clone_from(&network.domainname);
            });
        }
        let attachment = match shared.network {
            Some(_) => None,
            None => Some(self.own_network(container, record).await?),
        };
        let connected = began.elapsed();
        // Reads and writes files, some of them on filesystems that others serve.
        let (engine, target, record) =
            (Arc::clone(self), Arc::clone(container), container.record());
        let work = tokio::task::spawn_blocking(move || {
            let parts = Parts {
                prepared,
                attachment,
                shared,
            };
            engine.start_request(&target, &record, parts)
        });
        let request = crate::task::outcome(work).await?;
        let described = began.elapsed();
        let running = self.runtime.start(request).await.map_err(StartError::Run)?;
        tracing::debug!(
            container = id,
            network = ?connected,
            description = ?(described - connected),
            supervisor = ?(began.elapsed() - described),
            "started"
        );
        Ok(running)
    }

    /// Gives the container a network of its own.
    async fn own_network(
        &self,
        container: &Arc<Container>,
        record: &ContainerRecord,
    ) -> Result<Attachment, StartError> {
        // No network goes while it is being attached to.
        let using = self.networks.changing.read().await;
        let request = self.attach_request(record).map_err(StartError::NoNetwork)?;
        let attachment = self.network.attach(record.id.as_str(), request).await;
        let attachment = attachment.map_err(|cause| StartError::Network {
            name: record.name.clone(),
            cause,
        })?;
        let found = self.network_record(record, &attachment);
        let networks: Vec<String> = found.endpoints.iter().map(|e| e.network.clone()).collect();
        container.change_record(|r| r.network = Some(found));
        drop(using);
        for name in &networks {
            self.named_network_event(name, "connect", container);
        }
        Ok(attachment)
    }

    /// Hands out attachments, tells waiters and begins to wait for the end.
    async fn started(
        self: &Arc<Self>,
        container: &Arc<Container>,
        running: Running,
    ) -> Vec<String> {
        let warnings = running.warnings().to_vec();
        container.set_running(Some(running.clone()));
        container.apply(Event::Started {
            pid: running.pid(),
            at: running.started_at(),
        });
        self.mount_events(container, "mount");
        self.container_event(container, "start");
        // Clients that attached before are served before anybody waits for the end, so that even a
        // container that has ended by now still has its supervisor to read from.
        for waiter in container.take_waiting() {
            let options = AttachOptions {
                from: AttachFrom::Start,
                stdin: waiter.stdin,
            };
            match running.attach(options).await {
                // A client that went away in the meantime is no failure.
                Ok(attachment) => drop(waiter.attachment.send(attachment)),
                Err(error) => tracing::warn!(error = %error, "client not attached"),
            }
        }
        self.store_behind(container);
        self.look_after_health(container);
        self.watch(Arc::clone(container), running, Run::Own);
        self.refresh_links(container);
        warnings
    }

    /// Writes the record without waiting for the disk.
    pub(crate) fn store_behind(&self, container: &Container) {
        let _one_at_a_time = lock(&container.storing);
        let record = container.record();
        let stored = self
            .state
            .write_behind(|w| w.put(record.id.as_str(), &record));
        if let Err(error) = stored {
            tracing::error!(container = %record.id, error = %error, "record not written");
        }
    }

    /// Writes the record; it is on the disk when this returns. Blocks.
    pub(crate) fn store(&self, container: &Container) -> Result<(), StateError> {
        let _one_at_a_time = lock(&container.storing);
        let record = container.record();
        self.state.write(|w| w.put(record.id.as_str(), &record))
    }

    async fn note_failure(self: &Arc<Self>, container: &Arc<Container>, error: &StartError) {
        self.end_network(container).await;
        let event = Event::StartFailed {
            code: error.exit_code(),
            error: error.sentence(),
            at: SystemTime::now(),
        };
        if container.apply(event) {
            let code = error.exit_code().to_string();
            self.container_event_with(container, "die", [("exitCode", &code)]);
        }
        // Their clients learn of the failure by the closed channel.
        drop(container.take_waiting());
        self.store_behind(container);
        if container.vanishes() {
            self.remove_finished(container).await;
        }
    }
}

/// Locks what guards nothing but an order.
pub(crate) fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    // It guards nothing that could break.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Brings a record that is older than the present run to what the network has given to the container.
pub(crate) fn refresh_network(
    engine: &Engine,
    record: &mut ContainerRecord,
    attachment: &Attachment,
) {
    let now = engine.network_record(record, attachment);
    let addresses = |network: &NetworkRecord| -> Vec<(String, String, String)> {
        let endpoints = network.endpoints.iter();
        endpoints
            .map(|e| (e.network_id.clone(), e.ip.clone(), e.ipv6.clone()))
            .collect()
    };
    let is_known = record
        .network
        .as_ref()
        .is_some_and(|known| (addresses(known), &known.ports) == (addresses(&now), &now.ports));
    if !is_known {
        record.network = Some(now);
    }
}
