//! Other containers whose namespaces a container joins. They must run when it starts; what they do
//! later does not concern it, as with Docker.

use std::path::PathBuf;
use std::sync::Arc;

use berth_agent_runtime::Running;

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::Container;
use crate::container::containers::LookupError;
use crate::container::record::ContainerRecord;
use crate::container::status::Phase;
use crate::options::mode::neighbour;
use crate::spec::{Neighbours, SharedMemory};
use crate::start::host_mounts;

/// Most containers that may share one's namespaces in a row. A circle cannot be made, since each has
/// to exist before the next; this is for records that somebody else wrote.
pub(crate) const LONGEST_ROW: usize = 64;

/// What a container shares with others.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) pids: Neighbours,
    /// Handles on the others, so that the runtime can make sure of them.
    pub(crate) running: Vec<Running>,
    pub(crate) network: Option<SharedNetwork>,
    pub(crate) memory: SharedMemory,
}

/// The network of another container.
#[derive(Clone, Debug)]
pub(crate) struct SharedNetwork {
    /// First process of the other; nothing when the network is the machine's.
    pub(crate) pid: Option<i32>,
    /// Folder with the other's network files.
    pub(crate) folder: PathBuf,
    pub(crate) hostname: String,
    pub(crate) domainname: String,
}

/// A namespace of another container cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum NeighbourError {
    /// That of shared memory and semaphores.
    #[error("failed to join IPC namespace")]
    Ipc(#[source] NeighbourFault),
    /// That of processes.
    #[error("failed to join PID namespace")]
    Pid(#[source] NeighbourFault),
    /// That of the network.
    #[error(transparent)]
    Network(NeighbourFault),
    /// Its own network.
    #[error("cannot join own network")]
    OwnNetwork,
}

/// Why another container cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum NeighbourFault {
    /// There is none.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It does not run.
    #[error("container {0} is not running")]
    NotRunning(String),
    /// It does not run.
    #[error("cannot join network of a non running container: {0}")]
    NetworkNotRunning(String),
    /// It is about to be another.
    #[error("Container {0} is restarting, wait until the container is running")]
    Restarting(String),
    /// It keeps its shared memory to itself.
    #[error(
        "container {0}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
    )]
    NotShareable(String),
    /// The shared memory cannot be made.
    #[error("mounting the shared memory")]
    SharedMemory(#[source] std::io::Error),
}

impl Engine {
    /// Finds what a container shares, and makes what it has to share.
    pub(crate) fn share(&self, record: &ContainerRecord) -> Result<Shared, NeighbourError> {
        let mut shared = Shared::default();
        let host = &record.host;
        match host.ipc_mode.as_str() {
            "host" => shared.memory = SharedMemory::At(PathBuf::from("/dev/shm")),
            "none" => shared.memory = SharedMemory::None,
            "shareable" => {
                let folder = self.paths.host_mounts(record.id.as_str());
                let made = host_mounts::shared_memory(&folder, host.shm_size())
                    .map_err(|error| NeighbourError::Ipc(NeighbourFault::SharedMemory(error)))?;
                shared.memory = SharedMemory::At(made);
            }
            mode => {
                if let Some(name) = neighbour(mode) {
                    let (other, running) = self.running_other(name).map_err(NeighbourError::Ipc)?;
                    let memory = self.memory_of(&other, LONGEST_ROW);
                    shared.memory = memory.map_err(NeighbourError::Ipc)?;
                    shared.pids.ipc = Some(running.pid());
                    shared.running.push(running);
                }
            }
        }
        if let Some(name) = neighbour(&host.pid_mode) {
            let (_, running) = self.running_other(name).map_err(NeighbourError::Pid)?;
            shared.pids.pid = Some(running.pid());
            shared.running.push(running);
        }
        if let Some(name) = neighbour(&host.network_mode) {
            let (network, running) = self.shared_network(record, name)?;
            shared.network = Some(network);
            shared.running.push(running);
        }
        Ok(shared)
    }

    fn running_other(&self, name: &str) -> Result<(Arc<Container>, Running), NeighbourFault> {
        let other = self.containers.find(name)?;
        if other.phase() == Phase::Restarting {
            return Err(NeighbourFault::Restarting(name.to_owned()));
        }
        let running = other
            .running()
            .ok_or_else(|| NeighbourFault::NotRunning(name.to_owned()))?;
        Ok((other, running))
    }

    fn memory_of(&self, other: &Container, row: usize) -> Result<SharedMemory, NeighbourFault> {
        let id = other.id().as_str();
        let mode = other.with_record(|record| record.host.ipc_mode.clone());
        let at = match (mode.as_str(), neighbour(&mode)) {
            ("host", _) => PathBuf::from("/dev/shm"),
            ("shareable", _) => host_mounts::shared_memory_at(&self.paths.host_mounts(id)),
            (_, Some(next)) if row > 0 => {
                let next = self.containers.find(next)?;
                return self.memory_of(&next, row - 1);
            }
            _ => return Err(NeighbourFault::NotShareable(id.to_owned())),
        };
        if at.is_dir() {
            Ok(SharedMemory::At(at))
        } else {
            Err(NeighbourFault::NotShareable(id.to_owned()))
        }
    }

    fn shared_network(
        &self,
        record: &ContainerRecord,
        name: &str,
    ) -> Result<(SharedNetwork, Running), NeighbourError> {
        let found = self.running_other(name).map_err(|fault| {
            NeighbourError::Network(match fault {
                NeighbourFault::NotRunning(name) => NeighbourFault::NetworkNotRunning(name),
                fault => fault,
            })
        });
        let (other, running) = found?;
        if other.id() == &record.id {
            return Err(NeighbourError::OwnNetwork);
        }
        let is_machines = self
            .uses_machine_network(&other, LONGEST_ROW)
            .map_err(NeighbourError::Network)?;
        let (hostname, domainname) = other.with_record(|record| {
            let config = &record.config;
            (config.hostname.clone(), config.domainname.clone())
        });
        let network = SharedNetwork {
            pid: (!is_machines).then(|| running.pid()),
            folder: self.paths.container(&self.files_owner(&other, LONGEST_ROW)),
            hostname,
            domainname,
        };
        Ok((network, running))
    }

    /// Whether a container is, through others, on the machine's own network, whose parameters are
    /// nobody's to set.
    fn uses_machine_network(
        &self,
        container: &Container,
        row: usize,
    ) -> Result<bool, NeighbourFault> {
        let mode = container.with_record(|record| record.host.network_mode.clone());
        match neighbour(&mode) {
            Some(next) if row > 0 => {
                let next = self.containers.find(next)?;
                self.uses_machine_network(&next, row - 1)
            }
            _ => Ok(mode == "host"),
        }
    }

    /// Returns the container whose network files another one uses.
    fn files_owner(&self, container: &Container, row: usize) -> crate::id::ContainerId {
        let mode = container.with_record(|record| record.host.network_mode.clone());
        let next = neighbour(&mode).and_then(|name| self.containers.find(name).ok());
        match next {
            Some(next) if row > 0 => self.files_owner(&next, row - 1),
            _ => container.id().clone(),
        }
    }
}

impl Classified for NeighbourError {
    fn class(&self) -> ErrorClass {
        let (Self::Ipc(fault) | Self::Pid(fault) | Self::Network(fault)) = self else {
            return ErrorClass::InvalidArgument;
        };
        match fault {
            NeighbourFault::Lookup(error) => match self {
                Self::Network(_) => error.class(),
                _ => ErrorClass::InvalidArgument,
            },
            NeighbourFault::NotRunning(_)
            | NeighbourFault::NetworkNotRunning(_)
            | NeighbourFault::Restarting(_) => ErrorClass::Conflict,
            NeighbourFault::NotShareable(_) => ErrorClass::InvalidArgument,
            NeighbourFault::SharedMemory(_) => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self.class() {
            ErrorClass::Conflict => "not-running",
            ErrorClass::NotFound => "container-not-found",
            _ => "namespace-not-shared",
        }
    }
}
