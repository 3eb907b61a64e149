//! Reaching a machine's agent.

use std::sync::OnceLock;

use berth_controller_client::{
    Agent, ConnectError, DockerError, Identity, IdentityError, Route, Target, Tunnel,
    connect_unless_off,
};
use berth_controller_ssh::{HostKey, HostKeyPolicy};
use berth_controller_store::{Engine, MachineRecord, Store};
use berth_provisioners_api::{Machine, MachineState};

use crate::many::Shared;
use crate::ssh::ssh_endpoint;
use crate::{CertificatesError, Fleet, MachineError, Progress, certificates};

/// The agent's unix socket on every machine.
pub(crate) const AGENT_SOCKET: &str = "/run/berth/berthd.sock";

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
    /// The machine is off.
    #[error("machine {machine:?} is {}", state.as_str().to_lowercase())]
    NotRunning {
        /// The machine.
        machine: String,
        /// What it is doing.
        state: MachineState,
        /// What was tried.
        #[source]
        source: ConnectError,
    },
    /// The machine has no agent of ours.
    #[error(
        "machine {machine:?} runs Docker's own engine, and berth's container commands need berthd"
    )]
    NotBerth {
        /// The machine.
        machine: String,
    },
    /// The machine's Docker daemon does not answer.
    #[error("engine of machine {machine:?} does not answer")]
    Docker {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: DockerError,
    },
    /// The agent was reached, but did not answer.
    #[error("agent of machine {machine:?} does not answer: {said}")]
    Call {
        /// The machine.
        machine: String,
        /// What was said instead.
        said: String,
    },
    /// The machine's certificates are not good any more, and could not be renewed.
    #[error("certificates of machine {machine:?} have expired and could not be renewed")]
    Certificates {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: Box<CertificatesError>,
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
            Self::Certificates { machine, source } => {
                Some(source.hint().unwrap_or_else(|| {
                    format!("berth machine provision {machine} installs new ones")
                }))
            }
            Self::Connect { machine, source } if source.is_revoked() => Some(format!(
                "berth machine regenerate-certs {machine} gives it another certificate, through ssh"
            )),
            Self::NotRunning { machine, .. } => {
                Some(format!("start it: berth machine start {machine}"))
            }
            Self::NotBerth { machine } => Some(format!(
                "use the docker command: eval \"$(berth machine env {machine})\"; or replace \
                 Docker by berthd: berth machine import-docker-machine --convert {machine}"
            )),
            Self::Docker { machine, .. } => Some(format!(
                "berth machine status {machine} tells whether the machine runs; on it, see \
                 journalctl -u docker"
            )),
            Self::Connect { machine, .. } | Self::Call { machine, .. } => Some(format!(
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
        let loaded = self.load(name)?;
        if loaded.record.side.engine == Engine::Docker {
            return Err(AgentError::NotBerth {
                machine: name.to_owned(),
            });
        }
        loaded.require_complete()?;
        self.contact(loaded.record, &*loaded.machine, progress)
            .await
    }

    pub(crate) async fn connect_agent(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
        progress: &dyn Progress,
    ) -> Result<Agent, AgentError> {
        let paths = self.store.machine(&record.name);
        let load = |name: &str| Identity::load(&paths.ca, &paths.cert, &paths.key, name);
        let target = self.target(record, machine, load).await?;
        let mut off = None;
        let is_off = async {
            off = machine.state().await.ok().filter(|state| is_off(*state));
            off.is_some()
        };
        let told = told(record, progress);
        let connected = connect_unless_off(&target, &told, is_off).await;
        connected.map_err(|source| unconnected(record, off, source))
    }

    /// Like [`Fleet::connect_agent`], as one of many at the same time.
    pub(crate) async fn connect_on(
        &self,
        errand: &Errand<'_>,
        record: &MachineRecord,
        machine: &dyn Machine,
        progress: &dyn Progress,
    ) -> Result<Agent, AgentError> {
        let paths = self.store.machine(&record.name);
        let load = |name: &str| errand.shared.identity(&paths, name);
        let target = self.target(record, machine, load).await?;
        let (mut off, mut turn) = (None, None);
        let is_off = async {
            let known = match errand.state() {
                Some(state) => Some(state),
                None => machine.state().await.ok(),
            };
            known.into_iter().for_each(|state| errand.learn(state));
            off = known.filter(|state| is_off(*state));
            if off.is_none() {
                turn = errand.shared.detour().await;
            }
            off.is_some()
        };
        let told = told(record, progress);
        let connected = connect_unless_off(&target, &told, is_off).await;
        drop(turn);
        connected.map_err(|source| unconnected(record, off, source))
    }

    async fn target(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
        load: impl FnOnce(&str) -> Result<Identity, IdentityError>,
    ) -> Result<Target, AgentError> {
        // The address on record spares asking a cloud; a stale one leads to the tunnel or to a
        // machine that cannot show the right name.
        let host = match record.config.ip_address() {
            Some(address) => address.to_owned(),
            None => machine.ip().await.map_err(MachineError::from)?,
        };
        let server_name = record.side.stable_name.as_deref().unwrap_or(&host);
        let identity = load(server_name).map_err(|source| AgentError::Identity {
            machine: record.name.to_string(),
            source,
        })?;
        let revoked = certificates::revoked_machines(&self.store);
        Ok(Target {
            port: machine.engine_port(),
            identity: identity.refusing(revoked),
            tunnel: tunnel(record, machine).await,
            host,
        })
    }
}

/// One of many questions: what it shares with the others, and what was learnt on the way.
#[derive(Debug)]
pub(crate) struct Errand<'a> {
    shared: &'a Shared,
    state: OnceLock<MachineState>,
}

impl<'a> Errand<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            state: OnceLock::new(),
        }
    }

    /// Returns what the driver has said that the machine does, if it was asked.
    pub(crate) fn state(&self) -> Option<MachineState> {
        self.state.get().copied()
    }

    /// Returns whether nothing has to be done about a machine's certificates.
    pub(crate) fn is_settled(&self, store: &Store, record: &MachineRecord) -> bool {
        let book = self.shared.book(store);
        book.is_none_or(|book| book.due(record, &store.machine(&record.name)).is_nothing())
    }

    pub(crate) fn learn(&self, state: MachineState) {
        // What was said first is what the rest was done for.
        let _ = self.state.set(state);
    }
}

fn told<'a>(
    record: &'a MachineRecord,
    progress: &'a dyn Progress,
) -> impl Fn(Route) + Send + Sync + 'a {
    move |route| {
        let text = match route {
            Route::TunnelToPort | Route::TunnelToSocket => {
                "the engine's port cannot be reached; going through ssh"
            }
            Route::Direct => return,
        };
        progress.notice(record.name.as_str(), text);
    }
}

fn unconnected(
    record: &MachineRecord,
    off: Option<MachineState>,
    source: ConnectError,
) -> AgentError {
    let machine = record.name.to_string();
    match off {
        Some(state) if matches!(source, ConnectError::Off { .. }) => AgentError::NotRunning {
            machine,
            state,
            source,
        },
        _ => AgentError::Connect { machine, source },
    }
}

/// Returns whether a machine in this state answers nobody until it is started.
pub(crate) fn is_off(state: MachineState) -> bool {
    use MachineState::{Paused, Saved, Stopped};
    matches!(state, Stopped | Paused | Saved)
}

/// Returns the way round; there is none through a host that cannot be verified.
async fn tunnel(record: &MachineRecord, machine: &dyn Machine) -> Option<Tunnel> {
    let endpoint = machine.ssh_endpoint().await.ok()?;
    let known = record
        .side
        .host_key
        .as_deref()
        .or(endpoint.host_key.as_deref())?;
    let host_key = HostKeyPolicy::Pinned(HostKey::parse(known).ok()?);
    Some(Tunnel {
        endpoint: ssh_endpoint(endpoint),
        host_key,
        socket: AGENT_SOCKET.to_owned(),
    })
}
