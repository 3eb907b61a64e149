//! Creates a container: checks what is asked, merges it with the image, makes the filesystem and
//! writes the record, which is the moment from which the container exists.

pub(crate) mod bind;
pub(crate) mod env;
pub(crate) mod health;
pub(crate) mod limits;
pub(crate) mod merge;
pub(crate) mod mounts;
pub(crate) mod network_request;
pub(crate) mod rootfs;
pub(crate) mod user;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use berth_agent_images::{ErrorKind, Image, LookupError};
use berth_agent_snapshots::SnapshotError;
use berth_agent_state::StateError;

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::Container;
use crate::container::containers::{NameInUse, Reservation};
use crate::container::names;
use crate::container::record::{ContainerRecord, LooseVolumes, MergedConfig};
use crate::container::restart::{Policy, RestartPolicyError, RestartRecord};
use crate::container::status::Status;
use crate::create::bind::{MountSyntaxError, Tmpfs};
use crate::create::health::HealthCheckError;
use crate::create::limits::LimitError;
use crate::create::merge::NoCommand;
use crate::create::mounts::MountError;
use crate::create::network_request::PortError;
use crate::id::ContainerId;
use crate::life::signal::{InvalidSignal, SignalNumber};
use crate::options::{ContainerOptions, HostOptions};
use crate::spec::{DeviceError, DeviceRequest, SecurityError, SecurityOptions};
use crate::streams::log_driver::{self, LogDriverError};

/// A container that was created.
#[derive(Clone, Debug)]
pub struct Created {
    /// Its identity.
    pub id: ContainerId,
    /// What will not be as asked.
    pub warnings: Vec<String>,
}

/// A container cannot be created. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The image is not here.
    #[error(transparent)]
    Image(#[from] LookupError),
    /// The name is not allowed.
    #[error("Invalid container name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    InvalidName(String),
    /// The name is taken.
    #[error(transparent)]
    NameInUse(#[from] NameInUse),
    /// There is nothing to run.
    #[error(transparent)]
    NoCommand(#[from] NoCommand),
    /// A mount text is wrong.
    #[error(transparent)]
    MountSyntax(#[from] MountSyntaxError),
    /// A mount cannot be made ready.
    #[error(transparent)]
    Mount(Box<MountError>),
    /// A device cannot be given.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A security option is wrong.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The stop signal is none.
    #[error(transparent)]
    Signal(#[from] InvalidSignal),
    /// Ports or the kind of network are wrong.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The restart policy makes no sense.
    #[error(transparent)]
    Restart(#[from] RestartPolicyError),
    /// The health check makes no sense.
    #[error(transparent)]
    Health(#[from] HealthCheckError),
    /// The working directory is relative.
    #[error("the working directory '{0}' is invalid, it needs to be an absolute path")]
    RelativeWorkingDir(String),
    /// The log driver or its options are wrong.
    #[error(transparent)]
    LogDriver(#[from] LogDriverError),
    /// A limit makes no sense.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// An option has no meaning as given.
    #[error("invalid {option}: {value}")]
    Option {
        /// Which option.
        option: &'static str,
        /// What was given.
        value: String,
    },
    /// The runtime does not exist.
    #[error("unknown or invalid runtime name: {0}")]
    Runtime(String),
    /// The container's folder cannot be made.
    #[error("creating folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The filesystem cannot be made.
    #[error("creating the container's filesystem")]
    Snapshot(#[source] SnapshotError),
    /// The record cannot be written.
    #[error("recording the container")]
    State(#[from] StateError),
    /// The work was torn down in the middle.
    #[error("creating the container was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
}

impl Engine {
    /// Creates a container; an empty name becomes a random one.
    ///
    /// # Errors
    /// When something asked for is wrong or cannot be made; see [`CreateError`].
    ///
    /// # Cancel safety
    /// The container may exist or not when the future is dropped, never half.
    pub async fn create(
        self: &Arc<Self>,
        name: &str,
        mut options: ContainerOptions,
    ) -> Result<Created, CreateError> {
        let engine = Arc::clone(self);
        self.config.defaults.apply(&mut options.host);
        let name = name.strip_prefix('/').unwrap_or(name).to_owned();
        tokio::task::spawn_blocking(move || engine.create_blocking(&name, options))
            .await
            .map_err(CreateError::Interrupted)?
    }

    fn create_blocking(
        self: &Arc<Self>,
        name: &str,
        mut options: ContainerOptions,
    ) -> Result<Created, CreateError> {
        // Until the container exists its image must not go. The lock guards nothing that could break.
        let _in_use = self
            .image_use
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let image_id = self.images.resolve(&options.image)?;
        let image = self.images.get(&image_id)?;
        let mut config = merge::merge(&options, &image.config.config)?;
        let mut warnings = limits::verify(&mut options.host, &self.kernel, false)?;
        self.check(&options, &config)?;
        let id = ContainerId::random();
        if config.hostname.is_empty() && options.host.network_mode != "host" {
            id.short().clone_into(&mut config.hostname);
        }
        let reservation = self.reserve(name, &id)?;
        let folder = self.paths.container(&id);
        let made = self.make(&id, &reservation, &options, config, &image);
        match made {
            Ok(record) => {
                let container = Arc::new(Container::new(record, None));
                if let Some(size) = options.terminal_size {
                    container.set_terminal_size(size.into());
                }
                self.containers.insert(Arc::clone(&container));
                reservation.keep();
                self.container_event(&container, "create");
                warnings.extend(network_warnings(&options.host));
                Ok(Created { id, warnings })
            }
            Err(error) => {
                self.discard_files(&id);
                tracing::debug!(folder = %folder.display(), "container not created");
                Err(error)
            }
        }
    }

    fn reserve(self: &Arc<Self>, name: &str, id: &ContainerId) -> Result<Reservation, CreateError> {
        if !name.is_empty() {
            if !names::is_valid(name) {
                return Err(CreateError::InvalidName(name.to_owned()));
            }
            return Ok(self.containers.reserve(name, id)?);
        }
        for attempt in 0..6 {
            if let Ok(reservation) = self.containers.reserve(&names::random(attempt), id) {
                return Ok(reservation);
            }
        }
        // As Docker: after a few tries the id serves as name.
        Ok(self.containers.reserve(id.short(), id)?)
    }

    fn make(
        &self,
        id: &ContainerId,
        reservation: &Reservation,
        options: &ContainerOptions,
        config: MergedConfig,
        image: &Image,
    ) -> Result<ContainerRecord, CreateError> {
        let folder = self.paths.container(id);
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(|source| CreateError::Folder {
                path: folder.clone(),
                source,
            })?;
        let prepared = self
            .snapshots
            .prepare(id.as_str(), &image.layers)
            .map_err(CreateError::Snapshot)?;
        let mounts = self.decide_mounts(id, &config, &options.host)?;
        let record = ContainerRecord {
            id: id.clone(),
            name: reservation.name().to_owned(),
            created: SystemTime::now(),
            image: options.image.clone(),
            image_id: image.id.to_string(),
            layers: image.layers.iter().map(ToString::to_string).collect(),
            config,
            host: options.host.clone(),
            mounts,
            status: Status::default(),
            restart: RestartRecord::default(),
            was_started: false,
            network: None,
        };
        let has_loose = !record.anonymous_volumes().is_empty();
        let recorded = self
            .fill_volumes(&record, &prepared)
            .map_err(CreateError::from)
            .and_then(|()| {
                self.state.write(|w| {
                    if has_loose {
                        w.remove::<LooseVolumes>(id.as_str())?;
                    }
                    w.put(id.as_str(), &record)
                })?;
                Ok(())
            });
        if let Err(error) = recorded {
            self.drop_loose_volumes(id, &record.anonymous_volumes());
            return Err(error);
        }
        Ok(record)
    }

    /// Checks what can be checked without making anything.
    fn check(&self, options: &ContainerOptions, config: &MergedConfig) -> Result<(), CreateError> {
        let host = &options.host;
        Policy::check(&host.restart_policy, host.auto_remove)?;
        if let Some(check) = &options.healthcheck {
            health::check(check)?;
        }
        if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
            return Err(CreateError::RelativeWorkingDir(config.working_dir.clone()));
        }
        if !config.stop_signal.is_empty() {
            SignalNumber::parse(&config.stop_signal)?;
        }
        for tmpfs in &host.tmpfs {
            Tmpfs::parse(tmpfs)?;
        }
        for device in &host.devices {
            DeviceRequest::look_up(device)?;
        }
        for server in &host.dns {
            if server.parse::<std::net::IpAddr>().is_err() {
                let value = server.clone();
                return Err(CreateError::Option {
                    option: "DNS address",
                    value,
                });
            }
        }
        SecurityOptions::new(host)?;
        network_request::request(host, &config.exposed_ports)?;
        self.external_runtime(host).map_err(CreateError::Runtime)?;
        log_driver::check(&host.log)?;
        check_hostname(&options.hostname)
    }

    /// Returns the OCI runtime that the options ask for, nothing for berth's own.
    pub(crate) fn external_runtime(&self, host: &HostOptions) -> Result<Option<PathBuf>, String> {
        let name = if host.runtime.is_empty() {
            &self.config.default_runtime
        } else {
            &host.runtime
        };
        if name.is_empty() || name == crate::view::info::OWN_RUNTIME {
            return Ok(None);
        }
        let candidates = if name.starts_with('/') {
            vec![PathBuf::from(name)]
        } else if name.contains('/') {
            Vec::new()
        } else {
            [
                "/usr/local/sbin",
                "/usr/local/bin",
                "/usr/sbin",
                "/usr/bin",
                "/sbin",
                "/bin",
            ]
            .map(|folder| PathBuf::from(folder).join(name))
            .to_vec()
        };
        candidates
            .into_iter()
            .find(|path| path.is_file())
            .map(Some)
            .ok_or_else(|| name.clone())
    }
}

fn network_warnings(host: &HostOptions) -> Vec<String> {
    let mut warnings = Vec::new();
    if host.network_mode == "host" && !host.port_bindings.is_empty() {
        warnings.push("Published ports are discarded when using host network mode".to_owned());
    }
    if host.init == Some(true) {
        warnings
            .push("This version has no init of its own; the command runs as process 1".to_owned());
    }
    warnings
}

fn check_hostname(hostname: &str) -> Result<(), CreateError> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    // The kernel keeps at most 64 bytes.
    if hostname.is_empty() || (hostname.len() <= 64 && hostname.split('.').all(is_label)) {
        return Ok(());
    }
    Err(CreateError::Option {
        option: "hostname",
        value: hostname.to_owned(),
    })
}

impl From<MountError> for CreateError {
    fn from(error: MountError) -> Self {
        Self::Mount(Box::new(error))
    }
}

impl Classified for CreateError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Image(error) => match error.kind() {
                ErrorKind::NotFound => ErrorClass::NotFound,
                ErrorKind::Invalid => ErrorClass::InvalidArgument,
                _ => ErrorClass::Internal,
            },
            Self::NameInUse(_) => ErrorClass::AlreadyExists,
            Self::Snapshot(SnapshotError::DiskFull { .. }) => ErrorClass::Exhausted,
            Self::State(error) if error.is_disk_full() => ErrorClass::Exhausted,
            Self::Folder { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                ErrorClass::Exhausted
            }
            Self::Mount(error) => error.class(),
            Self::Snapshot(_) | Self::State(_) | Self::Folder { .. } | Self::Interrupted(_) => {
                ErrorClass::Internal
            }
            _ => ErrorClass::InvalidArgument,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Image(error) if error.kind() == ErrorKind::NotFound => "image-not-found",
            Self::NameInUse(_) => "name-in-use",
            Self::NoCommand(_) => "no-command",
            _ => match self.class() {
                ErrorClass::Exhausted => "disk-full",
                ErrorClass::InvalidArgument => "invalid-argument",
                _ => "create-failed",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_checked_as_the_kernel_and_dns_would() {
        for good in ["", "web", "a.b-c", "A_1"] {
            assert!(check_hostname(good).is_ok(), "{good}");
        }
        for bad in ["-a", "a..b", "a b", "a\nb", &"x".repeat(65)] {
            assert!(check_hostname(bad).is_err(), "{bad}");
        }
    }
}
