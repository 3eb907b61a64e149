//! Reaching a machine's agent.

use berth_controller_client::{Agent, ConnectError, IdentityError};

use crate::{Fleet, MachineError, Progress};

/// A machine's agent cannot be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The machine cannot be worked with.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The machine's certificates in the store cannot be used.
    #[error("certificates of machine {machine:?} cannot be used")]
    Identity {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: IdentityError,
    },
    /// No channel.
    #[error("agent of machine {machine:?} does not answer")]
    Connect {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: ConnectError,
    },
}

impl AgentError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(error) => error.hint(),
            Self::Identity { machine, .. } => Some(format!("berth machine provision {machine}")),
            Self::Connect { machine, .. } => Some(format!(
                "berth machine status {machine} tells whether it runs, berth machine provision \
                 {machine} repairs its agent"
            )),
        }
    }
}

impl Fleet {
    /// Connects to a machine's agent, through SSH when its port cannot be reached (then
    /// `progress` gets a notice).
    ///
    /// # Errors
    ///
    /// When there is no such machine or no way to its agent.
    pub async fn agent(&self, name: &str, progress: &dyn Progress) -> Result<Agent, AgentError> {
        progress.step(name, "");
        todo!()
    }
}
