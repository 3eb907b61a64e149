//! Creates a container: checks what is asked, merges it with the image, makes the filesystem and
//! writes the record, which is the moment from which the container exists.

mod adapt;
pub(crate) mod check;
pub(crate) mod env;
pub(crate) mod error;
pub(crate) mod health;
pub(crate) mod limits;
pub(crate) mod links;
pub(crate) mod merge;
pub(crate) mod mount;
pub(crate) mod mounts;
pub(crate) mod network_request;
mod platform;
pub(crate) mod rootfs;
pub(crate) mod user;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use berth_agent_images::Image;

use crate::Engine;
use crate::container::Container;
use crate::container::containers::Reservation;
use crate::container::names;
use crate::container::record::{ContainerRecord, LooseVolumes, MergedConfig};
use crate::container::restart::{Policy, RestartRecord};
use crate::container::status::Status;
use crate::create::links::LinkRecord;
use crate::create::mount::Tmpfs;
use crate::id::ContainerId;
use crate::life::signal::SignalNumber;
use crate::options::mode::is_user_defined;
use crate::options::{ContainerOptions, HostOptions};
use crate::spec::{DeviceRequest, SecurityOptions};
use crate::streams::log_driver;

pub use error::CreateError;

/// What is said where every container sees the machine's cgroups.
const NO_CGROUP_NAMESPACES: &str =
    "Your kernel does not support cgroup namespaces.  Cgroup namespace setting discarded.";

/// A container that was created.
#[derive(Clone, Debug)]
pub struct Created {
    /// Its identity.
    pub id: ContainerId,
    /// What will not be as asked.
    pub warnings: Vec<String>,
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
        self.name_networks(&mut options)?;
        let image = self.images.get(&image_id)?;
        platform::check(&options, &image)?;
        let mut config = merge::merge(&options, &image.config.config)?;
        let mut warnings = limits::verify(&mut options.host, &self.kernel, false)?;
        self.check(&options, &config)?;
        self.adapt(&mut options.host);
        if options.host.cgroupns_mode == "private" && !self.kernel.cgroup_namespaces {
            warnings.push(NO_CGROUP_NAMESPACES.to_owned());
        }
        // On networks that have names they are resolved where they are used.
        let links = if is_user_defined(&options.host.network_mode) {
            Vec::new()
        } else {
            self.decide_links(&options.host.links)?
        };
        let id = ContainerId::random();
        if config.hostname.is_empty() {
            config.hostname = match options.host.network_mode.as_str() {
                "host" => machine_hostname(),
                _ => id.short().to_owned(),
            };
        }
        let reservation = self.reserve(name, &id)?;
        let folder = self.paths.container(&id);
        let made = self.make(&id, &reservation, &options, (config, links), &image);
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
        (config, links): (MergedConfig, Vec<LinkRecord>),
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
            links,
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
        check::check(options, config)?;
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
        check::check_device_rules(&host.resources.device_cgroup_rules)?;
        for server in &host.dns {
            if server.parse::<std::net::IpAddr>().is_err() {
                return Err(invalid("DNS address", server));
            }
        }
        SecurityOptions::new(host)?;
        network_request::check(options, &config.exposed_ports)?;
        self.external_runtime(host).map_err(CreateError::Runtime)?;
        log_driver::check(&host.log)?;
        if check::check_hostname(&options.hostname) {
            return Ok(());
        }
        Err(invalid("hostname", &options.hostname))
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

fn invalid(option: &'static str, value: &str) -> CreateError {
    CreateError::Option {
        option,
        value: value.to_owned(),
    }
}

fn network_warnings(host: &HostOptions) -> Vec<String> {
    let mut warnings = Vec::new();
    if host.network_mode == "host" && !host.port_bindings.is_empty() {
        warnings.push("Published ports are discarded when using host network mode".to_owned());
    }
    warnings
}

/// Returns the machine's own name.
pub(crate) fn machine_hostname() -> String {
    let own = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok());
    own.unwrap_or_else(|| "localhost".to_owned())
}
