//! Starts a container: network, network files, specification, supervisor.
//!
//! Nothing here waits for the disk. What a crash could lose, that the container runs, is found again
//! by asking its supervisor.

pub(crate) mod error;
pub(crate) mod mount_points;
pub(crate) mod network_files;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use berth_agent_network::Attachment;
use berth_agent_runtime::{AttachFrom, AttachOptions, Rootfs, Running, StartRequest};
use berth_agent_snapshots::{LayerId, Prepared};
use berth_agent_state::StateError;

use crate::Engine;
use crate::class::Classified as _;
use crate::container::Container;
use crate::container::record::{ContainerRecord, MountKind, NetworkRecord, PublishedRecord};
use crate::container::status::{Event, Phase};
use crate::create::bind::Tmpfs;
use crate::create::network_request;
use crate::create::rootfs::UserLookupError;
use crate::create::user::ResolvedUser;
use crate::spec::{
    self, DeviceRequest, NetworkNamespace, ProcessInput, SecurityOptions, SpecInput, UserMount,
};
use crate::start::error::StartError;
use crate::streams::log_driver;
use crate::view::list::network_name;

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
        let request = network_request::request(&record.host, &record.config.exposed_ports)
            .unwrap_or_default();
        let attachment =
            self.network
                .attach(id, request)
                .await
                .map_err(|source| StartError::Network {
                    name: record.name.clone(),
                    source,
                })?;
        let connected = began.elapsed();
        container.change_record(|r| r.network = Some(network_record(&attachment)));
        self.network_event(network_name(record), "connect", Some(container));
        self.mount_events(container, "mount");
        // Reads and writes files, some of them on filesystems that others serve.
        let (engine, target, record) = (Arc::clone(self), Arc::clone(container), record.clone());
        let work = tokio::task::spawn_blocking(move || {
            engine.start_request(&target, &record, prepared, &attachment)
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

    fn start_request(
        &self,
        container: &Container,
        record: &ContainerRecord,
        prepared: Prepared,
        attachment: &Attachment,
    ) -> Result<StartRequest, StartError> {
        let bundle_dir = self.paths.container(&record.id);
        // A former run's end must not be taken for this one's.
        match fs::remove_file(bundle_dir.join("exit.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StartError::Files(error));
            }
            _ => {}
        }
        let hostname = hostname(record);
        let files = network_files::write(&bundle_dir, &hostname, &record.host, attachment)
            .map_err(StartError::Files)?;
        let security = SecurityOptions::new(&record.host)?;
        let devices = record
            .host
            .devices
            .iter()
            .map(|text| DeviceRequest::look_up(text))
            .collect::<Result<Vec<_>, _>>()?;
        let mounts = user_mounts(record)?;
        // Checked when the container was created.
        let tmpfs: Vec<Tmpfs> = record
            .host
            .tmpfs
            .iter()
            .filter_map(|text| Tmpfs::parse(text).ok())
            .collect();
        let input = SpecInput {
            id: record.id.as_str(),
            process: ProcessInput {
                argv: record.argv(),
                env: &record.config.env,
                working_dir: &record.config.working_dir,
                user: self.user_of(record, &prepared)?,
                hostname: &hostname,
                tty: record.config.tty,
            },
            hostname: hostname.clone(),
            host: &record.host,
            security: &security,
            devices: &devices,
            network: attachment
                .netns
                .clone()
                .map_or(NetworkNamespace::Host, NetworkNamespace::Path),
            files: Some(files),
            mounts: &mounts,
            tmpfs: &tmpfs,
            unified_cgroups: self.unified_cgroups,
        };
        let mut spec = spec::build(&input)?;
        if let Some(process) = spec.process_mut() {
            self.config.defaults.limit(process)?;
        }
        Ok(StartRequest {
            id: record.id.as_str().to_owned(),
            run_dir: self.paths.container_run(record.id.as_str()),
            bundle_dir,
            spec,
            rootfs: self.rootfs(prepared),
            terminal_size: container.terminal_size(),
            open_stdin: record.config.open_stdin,
            stdin_once: record.config.stdin_once,
            seccomp: security.seccomp.clone(),
            external_runtime: self
                .external_runtime(&record.host)
                .map_err(StartError::Runtime)?,
            ephemeral: record.host.auto_remove,
            log: log_driver::policy(&record.host.log)?,
            init: record.host.init.unwrap_or(false),
            neighbours: Vec::new(),
        })
    }

    /// Returns the root filesystem with the places for mounts below everything.
    pub(crate) fn rootfs(&self, prepared: Prepared) -> Rootfs {
        let mut lower = prepared.lower;
        lower.push(self.paths.mount_points());
        Rootfs::Overlay {
            lower,
            upper: prepared.upper,
            work: prepared.work,
        }
    }

    fn user_of(
        &self,
        record: &ContainerRecord,
        prepared: &Prepared,
    ) -> Result<ResolvedUser, UserLookupError> {
        let user = &record.config.user;
        let snapshots = self.snapshots.as_ref();
        let is_fresh = record.status.started_at.is_none();
        if is_fresh {
            let layers: Vec<LayerId> = record
                .layers
                .iter()
                .filter_map(|layer| layer.parse().ok())
                .collect();
            return self.users.in_layers(snapshots, &layers, user);
        }
        // What a former run wrote counts.
        let mounted =
            snapshots
                .mount_temporarily(prepared)
                .map_err(|source| UserLookupError::Snapshot {
                    user: user.clone(),
                    source,
                })?;
        Ok(crate::create::rootfs::in_root(mounted.root(), user)?)
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
        self.watch(Arc::clone(container), running);
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

fn hostname(record: &ContainerRecord) -> String {
    if record.config.hostname.is_empty() {
        let own = nix::unistd::gethostname()
            .ok()
            .and_then(|name| name.into_string().ok());
        return own.unwrap_or_else(|| "localhost".to_owned());
    }
    record.config.hostname.clone()
}

/// Returns the mounts with sources that exist: missing folders are made, as `docker run -v` does.
fn user_mounts(record: &ContainerRecord) -> Result<Vec<UserMount>, StartError> {
    record
        .mounts
        .iter()
        .map(|mount| {
            let source = PathBuf::from(&mount.source);
            if mount.kind == MountKind::Bind && !source.exists() {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o755)
                    .create(&source)
                    .map_err(|error| StartError::MountSource {
                        path: source.clone(),
                        source: error,
                    })?;
            }
            Ok(UserMount {
                source,
                target: mount.target.clone(),
                read_only: mount.read_only,
                propagation: mount.propagation.clone(),
            })
        })
        .collect()
}

fn network_record(attachment: &Attachment) -> NetworkRecord {
    let mut record = NetworkRecord::default();
    if let Some(interface) = &attachment.interface {
        record.ip = interface.ip.to_string();
        record.prefix = interface.prefix;
        record.gateway = interface.gateway.to_string();
        record.mac = interface.mac_text();
    }
    record.ports = attachment
        .ports
        .iter()
        .map(|port| PublishedRecord {
            host_ip: port.host_ip.to_string(),
            host_port: port.host_port,
            container_port: port.container_port,
            protocol: port.protocol.to_string(),
        })
        .collect();
    record
}
