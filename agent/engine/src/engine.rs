//! The engine itself: what it is made of, and how it is opened.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::SystemTime;

use berth_agent_images::{Images, ImagesConfig};
use berth_agent_network::{Network, NetworkConfig, Subnet};
use berth_agent_runtime::{Runtime, RuntimeConfig};
use berth_agent_snapshots::{Overlay, SnapshotError, Snapshotter};
use berth_agent_state::{State, StateError};
use berth_agent_volumes::Volumes;
use nix::fcntl::{Flock, FlockArg};
use tokio::sync::Semaphore;

use crate::container::containers::Containers;
use crate::container::record::EngineIdentity;
use crate::create::limits::kernel::KernelLimits;
use crate::create::rootfs::UserLookup;
use crate::events::Events;
use crate::files::places::Copies;
use crate::id::random_hex;
use crate::images::transfer::TRANSFERS;
use crate::networks::registry::Networks;
use crate::options::HostOptions;
use crate::options::defaults::ContainerDefaults;
use crate::paths::Paths;
use crate::spec::SecurityOptions;
use crate::start::mount_points;
use crate::streams::exec_registry::ExecRegistry;

/// Where the engine keeps things and how it behaves.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// What survives the machine's boot.
    pub data_root: PathBuf,
    /// What does not.
    pub run_root: PathBuf,
    /// How supervisors are started.
    pub runtime: RuntimeConfig,
    /// Networks of containers.
    pub network: NetworkConfig,
    /// Where subnets of new networks come from: ranges, and the length of the prefix of their parts;
    /// empty: those that Docker has.
    pub address_pools: Vec<(Subnet, u8)>,
    /// Registries that may be spoken to without TLS.
    pub insecure_registries: Vec<String>,
    /// Mirrors of the default registry.
    pub registry_mirrors: Vec<String>,
    /// Labels of this engine, for `info`.
    pub labels: Vec<String>,
    /// OCI runtime of containers that ask for none; empty: berth's own.
    pub default_runtime: String,
    /// What else containers get when nobody says otherwise.
    pub defaults: ContainerDefaults,
    /// The agent's version.
    pub version: String,
}

/// The engine of one machine.
#[derive(Debug)]
pub struct Engine {
    pub(crate) config: EngineConfig,
    pub(crate) paths: Paths,
    pub(crate) state: State,
    pub(crate) images: Arc<Images>,
    pub(crate) snapshots: Arc<dyn Snapshotter>,
    pub(crate) network: Network,
    pub(crate) networks: Networks,
    pub(crate) volumes: Volumes,
    pub(crate) runtime: Runtime,
    pub(crate) containers: Arc<Containers>,
    pub(crate) events: Arc<Events>,
    pub(crate) execs: Arc<ExecRegistry>,
    pub(crate) users: UserLookup,
    /// Held for reading while a container is created from an image and with volumes, for writing while an
    /// image or a volume is removed.
    pub(crate) image_use: RwLock<()>,
    /// Turns of archives of images on their way to and from clients.
    pub(crate) transfers: Arc<Semaphore>,
    /// Held while images that nobody uses are removed.
    pub(crate) pruning_images: Mutex<()>,
    /// Held while volumes that nobody uses are removed.
    pub(crate) pruning_volumes: Mutex<()>,
    pub(crate) unified_cgroups: bool,
    /// Archives on their way in and out.
    pub(crate) copies: Copies,
    /// What the kernel can limit.
    pub(crate) kernel: KernelLimits,
    pub(crate) identity: String,
    /// When it was opened.
    pub(crate) opened: SystemTime,
    /// Keeps a second agent away from the data root.
    _lock: Flock<File>,
}

/// The engine cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A folder cannot be made.
    #[error("preparing folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another agent has the data root.
    #[error("another agent uses {path}")]
    InUse {
        /// The lock's file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The database cannot be opened.
    #[error("opening the database")]
    Database(#[source] berth_agent_state::OpenError),
    /// The database cannot be read or written.
    #[error("reading the database")]
    State(#[from] StateError),
    /// The layers cannot be opened.
    #[error("opening the layers")]
    Snapshots(#[source] SnapshotError),
    /// The images cannot be opened.
    #[error("opening the images")]
    Images(#[source] berth_agent_images::OpenError),
    /// The network cannot be opened.
    #[error("opening the container network")]
    Network(#[source] berth_agent_network::OpenError),
    /// The volumes cannot be opened.
    #[error("opening the volumes")]
    Volumes(#[source] berth_agent_volumes::OpenError),
    /// The runtime cannot be set up.
    #[error("setting up the runtime")]
    Runtime(#[source] berth_agent_runtime::RuntimeError),
}

impl EngineConfig {
    /// Returns the subnets that new networks may have, in order.
    pub(crate) fn address_pools(&self) -> impl Iterator<Item = Subnet> {
        let own = self
            .address_pools
            .iter()
            .flat_map(|(range, prefix)| range.parts(*prefix));
        let is_default = self.address_pools.is_empty();
        own.chain(Subnet::candidates().filter(move |_| is_default))
    }
}

impl Engine {
    /// Opens the engine and finds out what became of its containers while no agent watched them.
    ///
    /// # Errors
    /// When a part of it cannot be opened. A container that cannot be looked at is logged, not fatal.
    pub async fn open(config: EngineConfig) -> Result<Arc<Self>, OpenError> {
        let engine = Arc::new(Self::assemble(config)?);
        engine.recover().await?;
        Ok(engine)
    }

    fn assemble(config: EngineConfig) -> Result<Self, OpenError> {
        let paths = Paths::new(config.data_root.clone(), config.run_root.clone());
        make_folder(paths.data_root(), 0o710)?;
        make_folder(&config.run_root, 0o700)?;
        for folder in [paths.containers(), paths.container_runs(), paths.steps()] {
            make_folder(&folder, 0o700)?;
        }
        let lock = lock(&paths.lock())?;
        let mount_points = paths.mount_points();
        mount_points::prepare(&mount_points).map_err(|source| OpenError::Folder {
            path: mount_points,
            source,
        })?;
        let state = State::open(&paths.state()).map_err(OpenError::Database)?;
        let identity = identity(&state)?;
        let snapshots: Arc<dyn Snapshotter> = Arc::new(
            Overlay::open(&config.data_root.join("snapshots")).map_err(OpenError::Snapshots)?,
        );
        let images = Images::open(ImagesConfig {
            root: config.data_root.join("content"),
            state: state.clone(),
            snapshotter: Arc::clone(&snapshots),
            insecure_registries: config.insecure_registries.clone(),
            mirrors: config.registry_mirrors.clone(),
        })
        .map_err(OpenError::Images)?;
        let network =
            Network::open(config.network.clone(), state.clone()).map_err(OpenError::Network)?;
        let volumes = Volumes::open(config.data_root.join("volumes"), state.clone())
            .map_err(OpenError::Volumes)?;
        let runtime = Runtime::new(config.runtime.clone()).map_err(OpenError::Runtime)?;
        let networks = Networks::open(&state)?;
        Ok(Self {
            config,
            paths,
            state,
            images: Arc::new(images),
            snapshots,
            network,
            networks,
            volumes,
            runtime,
            containers: Arc::default(),
            events: Arc::default(),
            execs: Arc::default(),
            users: UserLookup::default(),
            image_use: RwLock::default(),
            transfers: Arc::new(Semaphore::new(TRANSFERS)),
            pruning_images: Mutex::default(),
            pruning_volumes: Mutex::default(),
            unified_cgroups: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
            copies: Copies::default(),
            kernel: KernelLimits::detect(),
            identity,
            opened: SystemTime::now(),
            _lock: lock,
        })
    }

    /// Returns the images of the machine.
    #[must_use]
    pub fn images(&self) -> &Arc<Images> {
        &self.images
    }

    /// Returns the layers and containers' filesystems of the machine.
    #[must_use]
    pub fn snapshots(&self) -> &Arc<dyn Snapshotter> {
        &self.snapshots
    }

    /// Returns the agent's database, for rooms that keep records of their own.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Does ahead what the first container would wait for. Blocks.
    pub fn warm_up(&self) {
        if let Err(error) = SecurityOptions::new(&HostOptions::default()) {
            tracing::error!(error = %error, "default confinement not ready");
        }
    }

    /// Brings to the disk what was written behind. Blocks.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn flush(&self) -> Result<(), StateError> {
        self.state.write(|_nothing| Ok(()))
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }
}

fn make_folder(path: &Path, mode: u32) -> Result<(), OpenError> {
    let make = || {
        DirBuilder::new().recursive(true).mode(mode).create(path)?;
        fs::metadata(path).map(drop)
    };
    make().map_err(|source| OpenError::Folder {
        path: path.to_owned(),
        source,
    })
}

fn lock(path: &Path) -> Result<Flock<File>, OpenError> {
    let in_use = |source: io::Error| OpenError::InUse {
        path: path.to_owned(),
        source,
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(in_use)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| in_use(errno.into()))
}

fn identity(state: &State) -> Result<String, StateError> {
    const KEY: &str = "engine";
    if let Some(found) = state.read(|r| r.get::<EngineIdentity>(KEY))? {
        return Ok(found.id);
    }
    // In the form of a UUID, as Docker's.
    let hex = random_hex(16);
    let id = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-");
    state.write(|w| w.put(KEY, &EngineIdentity { id: id.clone() }))?;
    Ok(id)
}
