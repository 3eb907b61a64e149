//! Starting, stopping, restarting and killing machines.

use berth_provisioners_api::DriverError;

use crate::{Fleet, MachineError, Progress, ProvisionError, SshError};

/// A machine could not be started, stopped, restarted or killed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LifecycleError {
    /// The machine cannot be worked with.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Another process works on that machine.
    #[error(transparent)]
    Locked(#[from] berth_controller_store::LockError),
    /// The driver failed.
    #[error("machine {machine:?} could not be {participle}")]
    Driver {
        /// The machine.
        machine: String,
        /// What was to be done with it: "started".
        participle: &'static str,
        /// Why.
        #[source]
        source: DriverError,
    },
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] berth_controller_store::WriteError),
    /// The host could not be told to restart.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The machine runs, but its agent does not answer.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
}

impl LifecycleError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(error) => error.hint(),
            Self::Driver { source, .. } => source.hint().map(ToOwned::to_owned),
            Self::Ssh(error) => error.hint(),
            Self::Provision(error) => error.hint(),
            _ => None,
        }
    }
}

impl Fleet {
    /// Starts a machine and makes sure that its agent runs, with a certificate for the address
    /// that the machine has now.
    ///
    /// # Errors
    ///
    /// When it cannot be started or its agent does not answer.
    pub async fn start(&self, name: &str, progress: &dyn Progress) -> Result<(), LifecycleError> {
        progress.step(name, "");
        todo!()
    }

    /// Stops a machine in an orderly way.
    ///
    /// # Errors
    ///
    /// When it cannot be stopped.
    pub async fn stop(&self, name: &str, progress: &dyn Progress) -> Result<(), LifecycleError> {
        progress.step(name, "");
        todo!()
    }

    /// Restarts a machine and makes sure that its agent runs.
    ///
    /// # Errors
    ///
    /// When it cannot be restarted or its agent does not answer.
    pub async fn restart(&self, name: &str, progress: &dyn Progress) -> Result<(), LifecycleError> {
        progress.step(name, "");
        todo!()
    }

    /// Turns a machine off at once.
    ///
    /// # Errors
    ///
    /// When it cannot be turned off.
    pub async fn kill(&self, name: &str, progress: &dyn Progress) -> Result<(), LifecycleError> {
        progress.step(name, "");
        todo!()
    }
}
