//! Reaching a machine's agent.

use berth_controller_client::{
    Agent, ConnectError, Identity, IdentityError, Route, Target, Tunnel, connect_unless_off,
};
use berth_controller_ssh::{HostKey, HostKeyPolicy};
use berth_controller_store::MachineRecord;
use berth_provisioners_api::{Machine, MachineState};

use crate::ssh::ssh_endpoint;
use crate::{Fleet, MachineError, Progress};

/// The agent's unix socket on every machine.
const AGENT_SOCKET: &str = "/run/berth/berthd.sock";

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
            Self::NotRunning { machine, .. } => {
                Some(format!("start it: berth machine start {machine}"))
            }
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
        let loaded = self.load(name)?;
        loaded.require_complete()?;
        self.connect_agent(&loaded.record, &*loaded.machine, progress)
            .await
    }

    pub(crate) async fn connect_agent(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
        progress: &dyn Progress,
    ) -> Result<Agent, AgentError> {
        let name = record.name.as_str();
        // The address on record spares asking a cloud; a stale one leads to the tunnel or to a
        // machine that cannot show the right name.
        let host = match record.config.ip_address() {
            Some(address) => address.to_owned(),
            None => machine.ip().await.map_err(MachineError::from)?,
        };
        let server_name = record.side.stable_name.as_deref().unwrap_or(&host);
        let paths = self.store.machine(&record.name);
        let identity =
            Identity::load(&paths.ca, &paths.cert, &paths.key, server_name).map_err(|source| {
                AgentError::Identity {
                    machine: name.to_owned(),
                    source,
                }
            })?;
        let target = Target {
            port: machine.engine_port(),
            identity,
            tunnel: tunnel(record, machine).await,
            host,
        };
        let told = |route| {
            let text = match route {
                Route::TunnelToPort | Route::TunnelToSocket => {
                    "the engine's port cannot be reached; going through ssh"
                }
                Route::Direct => return,
            };
            progress.notice(name, text);
        };
        let mut off = None;
        let is_off = async {
            off = machine.state().await.ok().filter(|state| is_off(*state));
            off.is_some()
        };
        let connected = connect_unless_off(&target, &told, is_off).await;
        connected.map_err(|source| {
            let machine = name.to_owned();
            match off {
                Some(state) if matches!(source, ConnectError::Off { .. }) => {
                    AgentError::NotRunning {
                        machine,
                        state,
                        source,
                    }
                }
                _ => AgentError::Connect { machine, source },
            }
        })
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
