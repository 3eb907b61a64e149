//! Putting the agent on a machine, or checking that it is there.

use crate::{CredentialsError, Fleet, MachineError, Progress};

/// The agent could not be put on a machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// The machine cannot be worked with.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Another process works on that machine.
    #[error(transparent)]
    Locked(#[from] berth_controller_store::LockError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] berth_controller_store::WriteError),
    /// The authority cannot be made or used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

impl ProvisionError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        None
    }
}

impl Fleet {
    /// Installs the agent on a machine, or brings it up to date, and returns when it answers.
    ///
    /// # Errors
    ///
    /// When a step fails; the same call goes on.
    pub async fn provision(
        &self,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<(), ProvisionError> {
        progress.step(name, "");
        todo!()
    }
}
