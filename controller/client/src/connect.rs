//! Finding a way to an agent.

use std::future::ready;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_controller_ssh as ssh;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::{Channel, Endpoint};

use crate::route::{self, Fault, Stream, Watched};
use crate::{Agent, Identity, IdentityError, Route};

/// Bytes that one stream may have on the way to us; enough for logs at full speed on a long line.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// Bytes that all streams together may have on the way to us.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// A call that hears nothing for this long asks whether the agent is still there.
const KEEPALIVE: Duration = Duration::from_secs(20);

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
        source: io::Error,
    },
    /// The port does not answer, and the machine is known to be off.
    #[error("port {address} does not answer")]
    Off {
        /// Host and port.
        address: String,
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
        source: io::Error,
    },
    /// Our own certificate makes no sense.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl ConnectError {
    /// Returns whether the machine answered with a certificate that was revoked.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        let Self::Tls { source, .. } = self else {
            return false;
        };
        let inner = source.get_ref();
        inner.is_some_and(|inner| inner.is::<RevokedError>())
    }
}

/// The machine's certificate is on the list of those that nobody shall trust any more.
#[derive(Debug, thiserror::Error)]
#[error("the machine's certificate is revoked")]
pub(crate) struct RevokedError;

/// Connects to an agent: to its port, or through SSH when that cannot be reached.
///
/// `on_detour` is told once when the tunnel is used. A connection that breaks later is made again
/// by the next call.
///
/// # Errors
///
/// When there is no way, or what answers is not the machine. That the agent does not take *our*
/// certificate is only known from the first call.
pub async fn connect(
    target: &Target,
    on_detour: &(dyn Fn(Route) + Send + Sync),
) -> Result<Agent, ConnectError> {
    connect_unless_off(target, on_detour, ready(false)).await
}

/// Like [`connect`], but asks `is_off` when the port does not answer, before anything that takes
/// long is tried.
///
/// # Errors
///
/// [`ConnectError::Off`] when it says so; else as [`connect`].
pub async fn connect_unless_off(
    target: &Target,
    on_detour: &(dyn Fn(Route) + Send + Sync),
    is_off: impl Future<Output = bool>,
) -> Result<Agent, ConnectError> {
    let (stream, route) = route::open(target, is_off).await?;
    if route != Route::Direct {
        on_detour(route);
    }
    let fault = Fault::default();
    Ok(Agent::new(
        channel(stream, target.clone(), fault.clone()),
        route,
        fault,
    ))
}

/// Makes an agent of a stream that leads to its unix socket, such as a command that was started
/// over SSH. When the stream ends, so does the agent: it cannot be connected to again.
#[must_use]
pub fn over<S>(stream: S) -> Agent
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let fault = Fault::default();
    let watched = Watched::new(Box::new(stream) as Box<dyn Stream>, fault.clone());
    let once = Arc::new(Mutex::new(Some(watched)));
    let connector = tower::service_fn(move |_origin: Uri| {
        let opened = once.lock().unwrap_or_else(PoisonError::into_inner).take();
        ready(match opened {
            Some(stream) => Ok(TokioIo::new(stream)),
            None => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
        })
    });
    Agent::new(
        endpoint().connect_with_connector_lazy(connector),
        Route::TunnelToSocket,
        fault,
    )
}

/// Makes a channel of the first stream, and of new ones when that has broken.
fn channel(first: Box<dyn Stream>, target: Target, fault: Fault) -> Channel {
    let first = Arc::new(Mutex::new(Some(first)));
    let connector = tower::service_fn(move |_origin: Uri| {
        let opened = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (target, fault) = (target.clone(), fault.clone());
        async move {
            let stream = match opened {
                Some(stream) => stream,
                None => route::open(&target, ready(false)).await?.0,
            };
            Ok::<_, ConnectError>(TokioIo::new(Watched::new(stream, fault)))
        }
    });
    endpoint().connect_with_connector_lazy(connector)
}

fn endpoint() -> Endpoint {
    // Nobody looks at this name: the stream is there already, and TLS has its own.
    Endpoint::from_static("http://agent.berth")
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
}
