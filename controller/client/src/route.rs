//! The ways to an agent, each ending in one stream of bytes.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use berth_controller_ssh::{Config, ExecError, Family, Session, dial};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::connect::RevokedError;
use crate::{ConnectError, Identity, Route, Target, Tunnel};

/// How long a port may take to answer at all: firewalls that drop packets never do, and a lost
/// first packet is sent again after a second, the next after three.
const PORT_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a silent port is waited for before the way through SSH is tried as well.
const HEAD_START: Duration = Duration::from_secs(1);
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
///
/// A port that is silent, before the connection or within the handshake, gets a head start; then
/// both ways are tried at once.
pub(crate) async fn open(
    target: &Target,
    is_off: impl Future<Output = bool>,
) -> Result<(Box<dyn Stream>, Route), ConnectError> {
    let mut port = pin!(connect_port(&target.host, target.port));
    let early = connect_unless_off(target, &mut port, is_off).await?;
    let failed = match early {
        Some(Err(error)) => error,
        early => {
            let direct = async {
                let stream = match early {
                    Some(stream) => stream.map_err(Stop::Passing)?,
                    None => port.await.map_err(Stop::Passing)?,
                };
                handshake(stream, &target.identity, || address(target)).await
            };
            match race(target, direct).await? {
                Raced::Won(stream, route) => return Ok((stream, route)),
                Raced::Failed(error) => error,
            }
        }
    };
    let Some(tunnel) = &target.tunnel else {
        return Err(ConnectError::Unreachable {
            address: address(target),
            source: failed,
        });
    };
    go_round(target, tunnel)
        .await
        .map_err(|source| ConnectError::TunnelFailed {
            address: address(target),
            direct: failed.to_string(),
            source,
        })
}

/// How the port's way ended, while the tunnel was tried as well or not yet.
enum Raced {
    Won(Box<dyn Stream>, Route),
    /// The port failed, and the tunnel was not tried to its end.
    Failed(io::Error),
}

/// Why the port's way ended.
enum Stop {
    /// Another way may still lead there.
    Passing(io::Error),
    /// Something answers that must not be trusted: no other way is tried.
    Final(ConnectError),
}

/// Goes straight on, and after a head start by the tunnel as well; takes what comes first.
async fn race<S: Stream + 'static>(
    target: &Target,
    direct: impl Future<Output = Result<S, Stop>>,
) -> Result<Raced, ConnectError> {
    let mut direct = pin!(direct);
    let settled = |ended: Result<S, Stop>| match ended {
        Ok(stream) => Ok(Raced::Won(Box::new(stream), Route::Direct)),
        Err(Stop::Passing(error)) => Ok(Raced::Failed(error)),
        Err(Stop::Final(error)) => Err(error),
    };
    if let Ok(ended) = timeout(HEAD_START, &mut direct).await {
        return settled(ended);
    }
    let Some(tunnel) = &target.tunnel else {
        return settled(direct.await);
    };
    let mut round = pin!(go_round(target, tunnel));
    let source = tokio::select! {
        // The loser's connection is dropped, which closes it.
        ended = &mut direct => match ended {
            Err(Stop::Passing(error)) => {
                return round.await.map(|(stream, route)| Raced::Won(stream, route)).map_err(
                    |source| ConnectError::TunnelFailed {
                        address: address(target),
                        direct: error.to_string(),
                        source,
                    },
                );
            }
            ended => return settled(ended),
        },
        went = &mut round => match went {
            Ok((stream, route)) => return Ok(Raced::Won(stream, route)),
            Err(error) => error,
        },
    };
    match direct.await {
        Err(Stop::Passing(error)) => Err(ConnectError::TunnelFailed {
            address: address(target),
            direct: error.to_string(),
            source,
        }),
        ended => settled(ended),
    }
}

/// Goes through SSH: to the agent's socket, or to its port for users that may not open the socket.
async fn go_round(
    target: &Target,
    tunnel: &Tunnel,
) -> Result<(Box<dyn Stream>, Route), Box<dyn std::error::Error + Send + Sync>> {
    let session = log_in(tunnel).await?;
    let opening = async {
        match session.open_unix(&tunnel.socket).await {
            Ok(stream) => {
                let stream: Box<dyn Stream> = Box::new(stream);
                return Ok((stream, Route::TunnelToSocket));
            }
            Err(ExecError::Refused { .. }) => {}
            Err(source) => return Err(source.into()),
        }
        // The socket is root's alone; any user may go to the port, with the certificate as usual.
        let stream = session.open_tcp("127.0.0.1", target.port).await?;
        match handshake(stream, &target.identity, || address(target)).await {
            Ok(stream) => {
                let stream: Box<dyn Stream> = Box::new(stream);
                Ok((stream, Route::TunnelToPort))
            }
            Err(Stop::Passing(error)) => Err(error.into()),
            Err(Stop::Final(error)) => Err(error.into()),
        }
    };
    // A host may let us in and then say nothing more.
    timeout(SSH_TIMEOUT, opening)
        .await
        .unwrap_or_else(|_elapsed| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

/// Waits for the port for a moment; fails for good when `is_off` says so. Nothing when the port is
/// still silent.
async fn connect_unless_off(
    target: &Target,
    port: &mut Pin<&mut impl Future<Output = io::Result<TcpStream>>>,
    is_off: impl Future<Output = bool>,
) -> Result<Option<io::Result<TcpStream>>, ConnectError> {
    let early = timeout(PROMPT, port.as_mut()).await;
    // Packets to a machine that is off vanish, and ways round it would be tried for long.
    let (off, result) = match early {
        Ok(Ok(stream)) => (false, Some(Ok(stream))),
        Ok(Err(error)) => (is_off.await, Some(Err(error))),
        Err(_elapsed) => tokio::select! {
            connected = port.as_mut() => (false, Some(connected)),
            off = is_off => (off, None),
        },
    };
    if off {
        return Err(ConnectError::Off {
            address: address(target),
        });
    }
    Ok(result)
}

async fn connect_port(host: &str, port: u16) -> io::Result<TcpStream> {
    timeout(PORT_TIMEOUT, dial(host, port, Family::Any))
        .await
        .unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
}

async fn handshake<S: AsyncRead + AsyncWrite + Send + Unpin>(
    stream: S,
    identity: &Identity,
    address: impl Fn() -> String,
) -> Result<tokio_rustls::client::TlsStream<S>, Stop> {
    let connector = TlsConnector::from(identity.config());
    let handshake = async {
        let stream = connector.connect(identity.server_name(), stream).await?;
        let shown = stream.get_ref().1.peer_certificates();
        if shown.is_some_and(|chain| chain.iter().take(1).any(|leaf| !identity.accepts(leaf))) {
            return Err(io::Error::other(RevokedError));
        }
        Ok(stream)
    };
    timeout(HANDSHAKE_TIMEOUT, handshake)
        .await
        .unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|source| match source.kind() {
            // Silence says nothing about trust, nor does whoever hangs up without a word.
            io::ErrorKind::TimedOut
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Stop::Passing(source),
            _ => Stop::Final(ConnectError::Tls {
                address: address(),
                source,
            }),
        })
}

async fn log_in(tunnel: &Tunnel) -> Result<Session, Box<dyn std::error::Error + Send + Sync>> {
    // Read only now: most machines are reached without it.
    let endpoint = tunnel.endpoint.clone();
    let name = endpoint.host.clone();
    let endpoint = Config::of_operator().complete(&name, endpoint)?;
    Ok(Session::connect(&endpoint, &tunnel.host_key, SSH_TIMEOUT).await?)
}

fn address(target: &Target) -> String {
    if target.host.contains(':') {
        format!("[{}]:{}", target.host, target.port)
    } else {
        format!("{}:{}", target.host, target.port)
    }
}
