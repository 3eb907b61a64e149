//! Reaching a machine by SSH.

use std::time::Duration;

use berth_controller_ssh as ssh;
use berth_controller_store::{MachineRecord, WriteError};
use berth_provisioners_api::{Machine, MachineState, SshEndpoint};
use tokio::time::sleep;

use crate::agent::is_off;
use crate::fleet::Loaded;
use crate::list::chain;
use crate::{Fleet, MachineError, Progress};

/// How long a machine that runs may take to let us in.
const SSH_TIMEOUT: Duration = Duration::from_secs(20);
/// How long it may take before its driver is asked whether it is off.
const PROMPT: Duration = Duration::from_millis(300);
/// How long a machine may take to come up before the operator is told what it looks like.
const SILENT_WAIT: Duration = Duration::from_secs(10);

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
    /// The host's key cannot be written down.
    #[error(transparent)]
    Store(#[from] WriteError),
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
            Self::Connect {
                machine,
                source: ssh::ConnectError::HostKeyChanged { presented, .. },
            } => Some(format!(
                "somebody may be in between, or the host was installed anew; if you know that \
                     it was, replace \"host_key\" in the machine's berth.json by {:?} (or remove \
                     and create machine {machine})",
                presented.to_openssh()
            )),
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
        let Loaded {
            mut record,
            machine,
        } = self.load(name)?;
        let (endpoint, policy) = way(&record, &*machine).await?;
        let off = async {
            sleep(PROMPT).await;
            match machine.state().await {
                Ok(state) if is_off(state) => {}
                _ => std::future::pending().await,
            }
        };
        let connected = tokio::select! {
            // What loses is dropped: an answer that comes later is no longer of interest.
            connected = ssh::Session::connect(&endpoint, &policy, SSH_TIMEOUT) => connected,
            () = off => {
                let machine = name.to_owned();
                return Err(SshError::NotRunning { machine });
            }
        };
        let session = match connected {
            Ok(session) => session,
            Err(source) => {
                let state = machine.state().await;
                let off = state.is_ok_and(|state| state != MachineState::Running);
                let machine = name.to_owned();
                return Err(if off && source.may_pass() {
                    SshError::NotRunning { machine }
                } else {
                    SshError::Connect { machine, source }
                });
            }
        };
        // Learnt on the first connection, such as to a machine that docker-machine has made. A
        // machine that another process works on is that one's to write down.
        if record.side.host_key.is_none()
            && let Ok(_lock) = self.store.lock_machine(&record.name)
        {
            record = self.record(name)?;
            record
                .side
                .host_key
                .get_or_insert_with(|| session.host_key().to_openssh());
            self.store.save_side(&record)?;
        }
        Ok(session)
    }

    /// Like [`Fleet::log_in`], but tells the operator why it takes long when it does.
    pub(crate) async fn log_in_patiently(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
        patience: Duration,
        progress: &dyn Progress,
    ) -> Result<ssh::Session, SshError> {
        match self
            .log_in(record, machine, SILENT_WAIT.min(patience))
            .await
        {
            Err(SshError::Connect { source, .. }) if source.may_pass() || source.is_timeout() => {
                let left = patience.saturating_sub(SILENT_WAIT);
                let text = format!(
                    "{}; trying for another {} s",
                    chain(&source),
                    left.as_secs()
                );
                progress.notice(record.name.as_str(), &text);
                self.log_in(record, machine, left).await
            }
            done => done,
        }
    }

    /// Opens a session with a machine that may still be coming up.
    pub(crate) async fn log_in(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
        patience: Duration,
    ) -> Result<ssh::Session, SshError> {
        let (endpoint, policy) = way(record, machine).await?;
        ssh::Session::connect_when_up(&endpoint, &policy, patience)
            .await
            .map_err(|source| SshError::Connect {
                machine: record.name.to_string(),
                source,
            })
    }
}

/// Returns where a machine's SSH server is and which key it must show.
async fn way(
    record: &MachineRecord,
    machine: &dyn Machine,
) -> Result<(ssh::Endpoint, ssh::HostKeyPolicy), SshError> {
    let endpoint = machine.ssh_endpoint().await.map_err(MachineError::from)?;
    let known = record
        .side
        .host_key
        .as_deref()
        .or(endpoint.host_key.as_deref());
    let policy = match known {
        Some(text) => {
            let key = ssh::HostKey::parse(text).map_err(|source| SshError::HostKey {
                machine: record.name.to_string(),
                source,
            })?;
            ssh::HostKeyPolicy::Pinned(key)
        }
        None => ssh::HostKeyPolicy::Learn,
    };
    Ok((ssh_endpoint(endpoint), policy))
}

pub(crate) fn ssh_endpoint(endpoint: SshEndpoint) -> ssh::Endpoint {
    ssh::Endpoint {
        host: endpoint.host,
        port: endpoint.port,
        user: endpoint.user,
        key: endpoint.key,
    }
}
