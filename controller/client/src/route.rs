//! The ways to an agent, each ending in one stream of bytes.

use std::io;
use std::pin::{Pin, pin};
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
/// How long a port may take to answer before anybody is asked whether the machine is off.
const PROMPT: Duration = Duration::from_millis(300);
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
    heard: bool,
}

impl Fault {
    pub(crate) fn text(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Notes a failure, `heard` if the agent had said anything before it.
    fn note(&self, error: &io::Error, heard: bool) {
        let refused = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rustls::Error::AlertReceived(alert)) = refused {
            let text =
                format!("the agent does not accept this controller's certificate ({alert:?})");
            *noted = Some(text);
            return;
        }
        // Whoever hangs up on us does not wait for what we are sending, and the alert that says
        // why can be lost with it.
        noted.get_or_insert_with(|| {
            if heard {
                return error.to_string();
            }
            format!(
                "the agent does not accept this controller's certificate, or is just ending: it \
                 closed the connection without a word ({error})"
            )
        });
    }
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, fault: Fault) -> Self {
        Self {
            stream,
            fault,
            heard: false,
        }
    }

    fn note<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &result {
            self.fault.note(error, self.heard);
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
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.heard |= buffer.filled().len() > before;
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

/// Opens a stream by the first way that works, the port first; none when the port does not answer
/// and `is_off` says that the machine is off.
pub(crate) async fn open(
    target: &Target,
    is_off: impl Future<Output = bool>,
) -> Result<(Box<dyn Stream>, Route), ConnectError> {
    let error = match connect_unless_off(target, is_off).await? {
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

/// Connects to the port; fails for good when `is_off` says so.
async fn connect_unless_off(
    target: &Target,
    is_off: impl Future<Output = bool>,
) -> Result<io::Result<TcpStream>, ConnectError> {
    let mut port = pin!(connect_port(&target.host, target.port));
    let early = timeout(PROMPT, &mut port).await;
    if let Ok(Ok(stream)) = early {
        return Ok(Ok(stream));
    }
    // Packets to a machine that is off vanish, and ways round it would be tried for long.
    let asked = match early {
        Ok(failed) => {
            if !is_off.await {
                return Ok(failed);
            }
            None
        }
        Err(_elapsed) => tokio::select! {
            connected = &mut port => Some(connected),
            off = is_off => if off { None } else { Some(port.await) },
        },
    };
    asked.ok_or_else(|| ConnectError::Off {
        address: address(target),
    })
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
        .map_err(|source| {
            let address = address();
            // Silence says nothing about trust.
            if source.kind() == io::ErrorKind::TimedOut {
                return ConnectError::Unreachable { address, source };
            }
            ConnectError::Tls { address, source }
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
