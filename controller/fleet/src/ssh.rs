//! Reaching a machine by SSH.

use berth_controller_ssh as ssh;

use crate::{Fleet, MachineError};

/// A machine cannot be reached by SSH.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SshError {
    /// The machine cannot be worked with.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The machine does not run.
    #[error("machine {machine:?} is not running")]
    NotRunning {
        /// The machine.
        machine: String,
    },
    /// The key on record makes no sense.
    #[error("host key on record for machine {machine:?} cannot be used")]
    HostKey {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: ssh::HostKeyError,
    },
    /// No session.
    #[error("cannot log in to machine {machine:?}")]
    Connect {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: ssh::ConnectError,
    },
    /// A command could not be run.
    #[error("command on machine {machine:?} could not be run")]
    Exec {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: ssh::ExecError,
    },
}

impl SshError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(error) => error.hint(),
            Self::NotRunning { machine } => Some(format!("berth machine start {machine}")),
            _ => None,
        }
    }
}

impl Fleet {
    /// Opens an SSH session with a machine, its host key verified.
    ///
    /// The caller runs commands or a shell on it ([`ssh::Session::run`]).
    ///
    /// # Errors
    ///
    /// When there is no such machine, its host key has changed, or it cannot be logged in to.
    pub async fn ssh(&self, name: &str) -> Result<ssh::Session, SshError> {
        todo!("{name}")
    }
}
