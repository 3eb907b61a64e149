//! New certificates because somebody asks for them; nothing restarts, nothing is interrupted.

use std::path::PathBuf;

use berth_controller_store::LockError;
use time::OffsetDateTime;

use super::CredentialsError;
use super::authority::under_lock;
use super::clients::renew_own;
use super::due::ServerDue;
use super::machine::is_of_others;
use crate::{AgentError, Fleet, HostError, MachineError, Progress, SshError};

/// What to make anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegenerateOptions {
    /// The operator's client certificate too, which all machines share.
    pub client: bool,
}

/// Certificates of a machine could not be settled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificatesError {
    /// The machine cannot be worked with.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Another process works on that machine.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The authority or a certificate cannot be made or used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// There is no authority yet.
    #[error("there is no authority in {}", directory.display())]
    NoAuthority {
        /// Where it would be.
        directory: PathBuf,
    },
    /// The machine cannot be reached by SSH either.
    #[error(transparent)]
    Ssh(Box<SshError>),
    /// There is no way to the agent on the host.
    #[error("cannot get to the agent on machine {machine:?}")]
    Host {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: Box<HostError>,
    },
    /// The agent cannot be reached.
    #[error(transparent)]
    Agent(Box<AgentError>),
    /// The agent does not answer.
    #[error("the agent of machine {machine:?} does not answer: {why}")]
    Silent {
        /// The machine.
        machine: String,
        /// What was heard instead.
        why: String,
    },
    /// The agent refused.
    #[error("the agent of machine {machine:?} refused: {why}")]
    Refused {
        /// The machine.
        machine: String,
        /// Why.
        why: String,
    },
    /// The agent is from before certificates could be changed while it runs.
    #[error("the agent of machine {machine:?} is too old to change its certificates while it runs")]
    OldAgent {
        /// The machine.
        machine: String,
    },
    /// Something other than berth's agent serves containers there.
    #[error("machine {machine:?} has no agent of berth's whose certificates could be changed")]
    NoAgent {
        /// The machine.
        machine: String,
    },
    /// Somebody else looks after the machine.
    #[error("certificates of machine {machine:?} are of somebody else's authority")]
    Foreign {
        /// The machine.
        machine: String,
    },
}

impl CertificatesError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(error) => error.hint(),
            Self::Credentials(error) => error.hint(),
            Self::Ssh(error) => error.hint(),
            Self::Host { source, .. } => source.hint(),
            Self::Agent(error) => error.hint(),
            Self::Silent { machine, .. } => Some(format!(
                "berth machine provision {machine} repairs the agent, berth machine doctor \
                 {machine} tells what is wrong"
            )),
            Self::OldAgent { machine } => Some(format!("berth machine upgrade {machine}")),
            Self::Foreign { machine } => Some(format!(
                "whoever shared it renews them; berth machine provision {machine} adds your own \
                 authority, and berth machine adopt --exclusive makes it yours alone"
            )),
            _ => None,
        }
    }
}

impl Fleet {
    /// Gives a machine's agent a new certificate, with all names and addresses that the machine has
    /// now: over the live channel, or through SSH when that does not work. Containers, open
    /// streams and the agent itself go on.
    ///
    /// # Errors
    ///
    /// When the machine cannot be reached or its agent refuses; the old certificate stays then.
    pub async fn regenerate_certificates(
        &self,
        name: &str,
        options: RegenerateOptions,
        progress: &dyn Progress,
    ) -> Result<(), CertificatesError> {
        let loaded = self.load(name)?;
        loaded.require_complete()?;
        if !loaded.machine.takes_agent()
            || loaded.record.side.engine != berth_controller_store::Engine::Berth
        {
            return Err(CertificatesError::NoAgent {
                machine: name.to_owned(),
            });
        }
        super::authority(&self.store)?;
        if options.client {
            self.regenerate_client()?;
        }
        if self.is_foreign(&loaded.record) || is_of_others(&self.store, &loaded.record)? {
            return Err(CertificatesError::Foreign {
                machine: name.to_owned(),
            });
        }
        self.settle_machine(name, Some(ServerDue::Asked), progress)
            .await?;
        Ok(())
    }

    /// Makes a new client certificate for the operator. Machines get their copies when they are
    /// contacted; the former certificate stays valid until it ends or is revoked.
    ///
    /// # Errors
    ///
    /// When the authority cannot be used.
    pub fn regenerate_client(&self) -> Result<(), CredentialsError> {
        let _lock = self.store.lock_certs()?;
        let now = OffsetDateTime::now_utc();
        let authority = under_lock(&self.store, now)?;
        renew_own(&self.store, &authority, now)
    }
}
