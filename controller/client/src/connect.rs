//! Finding a way to an agent.

use berth_controller_ssh as ssh;

use crate::{Agent, Identity, IdentityError, Route};

/// Where an agent is and how it is known.
#[derive(Clone, Debug)]
pub struct Target {
    /// A host name or an address without brackets.
    pub host: String,
    /// The agent's port.
    pub port: u16,
    /// Who both ends are.
    pub identity: Identity,
    /// The way round when the port cannot be reached.
    pub tunnel: Option<Tunnel>,
}

/// The way to an agent through SSH.
#[derive(Clone, Debug)]
pub struct Tunnel {
    /// The machine's SSH server.
    pub endpoint: ssh::Endpoint,
    /// Its key.
    pub host_key: ssh::HostKeyPolicy,
    /// The agent's unix socket on the machine.
    pub socket: String,
}

/// No channel to an agent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The port does not answer and there is no way round.
    #[error("agent at {address} cannot be reached")]
    Unreachable {
        /// Host and port.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The port does not answer, and the tunnel failed too.
    #[error("agent at {address} cannot be reached ({direct}), nor through ssh")]
    TunnelFailed {
        /// Host and port.
        address: String,
        /// Why the port could not be used.
        direct: String,
        /// Why the tunnel could not be used.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something answers, but it is not the machine, or it does not know us.
    #[error("agent at {address} cannot be trusted")]
    Tls {
        /// Host and port.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Our own certificate makes no sense.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Connects to an agent: to its port, or through SSH when that cannot be reached.
///
/// `on_detour` is told once when the tunnel is used.
///
/// # Errors
///
/// When there is no way, or what answers is not the machine.
pub async fn connect(
    target: &Target,
    on_detour: &(dyn Fn(Route) + Send + Sync),
) -> Result<Agent, ConnectError> {
    on_detour(Route::Direct);
    todo!("{target:?}")
}
