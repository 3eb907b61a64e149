//! The ways to an agent, each ending in one stream of bytes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use berth_controller_ssh::{ConnectError as SshConnectError, ExecError, Session};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::{ConnectError, Identity, Route, Target, Tunnel};

/// How long a port may take to answer before the way through SSH is tried: firewalls that drop
/// packets never answer, and a lost first packet is sent again after a second.
const PORT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the handshake of TLS may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long SSH may take to let us in.
const SSH_TIMEOUT: Duration = Duration::from_secs(15);

/// A stream of bytes to an agent.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Keeps what went wrong on a stream: callers waiting for an answer only learn that it was closed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fault(Arc<Mutex<Option<String>>>);

/// A stream whose first failure is kept.
pub(crate) struct Watched<S> {
    stream: S,
    fault: Fault,
}

impl Fault {
    pub(crate) fn text(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, error: &io::Error) {
        let refused = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let text = match refused {
            Some(rustls::Error::AlertReceived(alert)) => {
                format!("the agent does not accept this controller's certificate ({alert:?})")
            }
            _ => error.to_string(),
        };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(text);
    }
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, fault: Fault) -> Self {
        Self { stream, fault }
    }

    fn note<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &result {
            self.fault.note(error);
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.note(result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, data);
        self.note(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.note(result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, data);
        self.note(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Opens a stream by the first way that works, the port first.
pub(crate) async fn open(target: &Target) -> Result<(Box<dyn Stream>, Route), ConnectError> {
    let error = match connect_port(&target.host, target.port).await {
        Ok(stream) => {
            let stream = handshake(stream, &target.identity, || address(target)).await?;
            return Ok((Box::new(stream), Route::Direct));
        }
        Err(error) => error,
    };
    let Some(tunnel) = &target.tunnel else {
        return Err(ConnectError::Unreachable {
            address: address(target),
            source: error,
        });
    };
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| ConnectError::TunnelFailed {
        address: address(target),
        direct: error.to_string(),
        source,
    };
    let session = log_in(tunnel)
        .await
        .map_err(|source| failed(source.into()))?;
    match session.open_unix(&tunnel.socket).await {
        Ok(stream) => return Ok((Box::new(stream), Route::TunnelToSocket)),
        Err(ExecError::Refused { .. }) => {}
        Err(source) => return Err(failed(source.into())),
    }
    // The socket is root's alone; any user may go to the port, with the certificate as usual.
    let stream = session
        .open_tcp("127.0.0.1", target.port)
        .await
        .map_err(|source| failed(source.into()))?;
    let stream = handshake(stream, &target.identity, || address(target)).await?;
    Ok((Box::new(stream), Route::TunnelToPort))
}

async fn connect_port(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = timeout(PORT_TIMEOUT, TcpStream::connect((host, port)))
        .await
        .map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn handshake<S: AsyncRead + AsyncWrite + Send + Unpin>(
    stream: S,
    identity: &Identity,
    address: impl Fn() -> String,
) -> Result<tokio_rustls::client::TlsStream<S>, ConnectError> {
    let connector = TlsConnector::from(identity.config());
    let handshake = connector.connect(identity.server_name(), stream);
    timeout(HANDSHAKE_TIMEOUT, handshake)
        .await
        .unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|source| ConnectError::Tls {
            address: address(),
            source,
        })
}

async fn log_in(tunnel: &Tunnel) -> Result<Session, SshConnectError> {
    Session::connect(&tunnel.endpoint, &tunnel.host_key, SSH_TIMEOUT).await
}

fn address(target: &Target) -> String {
    if target.host.contains(':') {
        format!("[{}]:{}", target.host, target.port)
    } else {
        format!("{}:{}", target.host, target.port)
    }
}
