//! How putting the agent on a machine fails.

use berth_controller_provision::{self as provision, BinaryError, OptionError};
use berth_controller_store as store;

use crate::{AgentError, CredentialsError, MachineError, SshError};

/// The agent could not be put on a machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// The machine cannot be worked with.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Another process works on that machine.
    #[error(transparent)]
    Locked(#[from] store::LockError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] store::WriteError),
    /// The authority cannot be made or used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The agent's executable cannot be used.
    #[error(transparent)]
    Binary(#[from] BinaryError),
    /// The machine cannot be reached by SSH.
    #[error(transparent)]
    Ssh(Box<SshError>),
    /// A step on the host failed.
    #[error("cannot put the agent on machine {machine:?}")]
    Host {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: Box<provision::ProvisionError>,
    },
    /// The agent runs, but does not answer as it should.
    #[error("the agent of machine {machine:?} was started but does not answer over TLS")]
    Answer {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An option of the engine cannot be met.
    #[error("engine of machine {machine:?} cannot be as it is asked to be")]
    Options {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: OptionError,
    },
    /// The new agent was installed, but did not answer as it should, and was taken back.
    #[error("the new agent of machine {machine:?} was not kept: {why}")]
    NotKept {
        /// The machine.
        machine: String,
        /// What was wrong with it.
        why: String,
        /// What became of it.
        #[source]
        source: Box<provision::ProvisionError>,
    },
    /// The machine's engine is Docker's, which nobody has asked to replace.
    #[error("machine {machine:?} runs Docker's own engine, which is left as it is")]
    Docker {
        /// The machine.
        machine: String,
    },
    /// The machine's Docker daemon does not answer.
    #[error(transparent)]
    DockerAnswer(Box<AgentError>),
    /// A task of this program ended early.
    #[error("reading the agent's executable was cut off")]
    Task(#[source] tokio::task::JoinError),
}

// === impl ProvisionError ===

impl From<SshError> for ProvisionError {
    fn from(error: SshError) -> Self {
        Self::Ssh(Box::new(error))
    }
}

impl ProvisionError {
    /// Returns whether only the connection failed, not what was done over it.
    pub(super) fn is_lost_connection(&self) -> bool {
        match self {
            Self::Host { source, .. } => matches!(**source, provision::ProvisionError::Ssh { .. }),
            _ => false,
        }
    }

    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(error) => error.hint(),
            Self::Ssh(error) => error.hint(),
            Self::Credentials(error) => error.hint(),
            Self::Docker { machine } => Some(format!(
                "berth machine import-docker-machine --convert {machine} replaces it by berthd"
            )),
            Self::DockerAnswer(error) => error.hint(),
            Self::Host { source, .. } | Self::NotKept { source, .. } => source.hint(),
            Self::Binary(BinaryError::Absent { .. }) => {
                Some("cargo build -p berth-agent-daemon makes it".to_owned())
            }
            Self::Answer { machine, .. } => Some(format!(
                "berth machine doctor {machine} tells what is wrong with it"
            )),
            _ => None,
        }
    }
}
