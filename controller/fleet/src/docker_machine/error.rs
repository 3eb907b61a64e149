//! How taking over machines of docker-machine fails.

use std::io;
use std::path::PathBuf;

use berth_controller_store::{LoadError, LockError, WriteError};

use crate::host::HostError;
use crate::{ExportError, MachineError, ProvisionError, SshError};

/// A machine of docker-machine cannot be taken over. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DockerMachineError {
    /// The machine cannot be worked with.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// There is no store there.
    #[error("{} is not the store of a docker-machine", path.display())]
    NoStore {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its record cannot be read.
    #[error("record of machine {machine:?} in {} cannot be read", path.display())]
    Record {
        /// The machine.
        machine: String,
        /// Its folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: LoadError,
    },
    /// There is a machine of that name.
    #[error("machine {0:?} already exists")]
    Exists(String),
    /// Its disks are in its folder, where the program that runs it looks for them.
    #[error(
        "machine {machine:?} cannot be copied: {files} in its folder belong to its virtual machine"
    )]
    Disks {
        /// The machine.
        machine: String,
        /// What lies there.
        files: String,
        /// The store.
        root: PathBuf,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ExportError),
    /// Another process works on a machine of that name.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// This store cannot be written.
    #[error(transparent)]
    Store(#[from] WriteError),
}

/// A machine's Docker cannot be replaced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The machine cannot be worked with.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// There is no Docker to replace.
    #[error("machine {0:?} does not run Docker's engine")]
    NotDocker(String),
    /// There is only an address of an engine, and no host to log in to.
    #[error("machine {0:?} has no host that could be logged in to")]
    NoHost(String),
    /// Another process works on that machine.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] WriteError),
    /// The host cannot be reached by SSH.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// Something could not be done on the host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Docker is stopped, but our agent is not there.
    #[error("Docker is stopped, but berthd is not in its place")]
    Provision(#[from] Box<ProvisionError>),
}

impl DockerMachineError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(error) => error.hint(),
            Self::NoStore { .. } => Some(
                "name the folder that has \"machines\" and \"certs\" in it, such as \
                 ~/.docker/machine"
                    .to_owned(),
            ),
            Self::Record { source, .. } => source.hint(),
            Self::Exists(name) => Some(format!(
                "berth machine rm {name} removes the one that is there; --storage-path chooses \
                 another store"
            )),
            Self::Disks { root, .. } => Some(format!(
                "use that store as it is: --storage-path {}",
                root.display()
            )),
            Self::Store(error) => error.hint(),
            _ => None,
        }
    }
}

impl ConvertError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(error) => error.hint(),
            Self::Ssh(error) => error.hint(),
            Self::Host(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Provision(error) => error.hint().or_else(|| {
                Some("berth machine provision goes on once the cause is gone".to_owned())
            }),
            _ => None,
        }
    }
}
