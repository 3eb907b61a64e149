//! The stream of bytes that a session runs over.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::config::local_user;
use crate::dial::dial;
use crate::endpoint::Via;
use crate::{Config, ConnectError, Endpoint, HostKeyPolicy, Session};

/// Bytes both ways.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// Opens the way to a host: straight, through its jump hosts, or through a command.
pub(crate) async fn open(endpoint: &Endpoint) -> Result<Box<dyn Transport>, ConnectError> {
    let unreachable = |source| ConnectError::Unreachable {
        address: endpoint.address(),
        source,
    };
    match &endpoint.via {
        Via::Direct => {
            let dialling = dial(&endpoint.host, endpoint.port, endpoint.config.family);
            let stream = match endpoint.config.connect_timeout {
                Some(limit) => tokio::time::timeout(limit, dialling)
                    .await
                    .unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into())),
                None => dialling.await,
            };
            Ok(Box::new(stream.map_err(unreachable)?))
        }
        Via::Jump(hop) => through(hop, endpoint).await,
        Via::Command(command) => Ok(Box::new(Spoken::start(command).map_err(unreachable)?)),
    }
}

/// Finds out whether the SSH port of the host that the operator calls `host` answers, by the way
/// that their configuration leads there. Nobody is asked anything.
///
/// # Errors
///
/// When it does not answer. A jump host that does not let us in tells nothing about the host behind
/// it, which then counts as one that answers.
pub async fn reach(host: &str, port: u16) -> io::Result<()> {
    let known = Endpoint {
        host: host.to_owned(),
        port,
        user: local_user(),
        ..Endpoint::default()
    };
    let mut endpoint = Config::of_operator()
        .complete(host, known)
        .map_err(io::Error::other)?;
    let mut next = Some(&mut endpoint);
    while let Some(hop) = next {
        hop.config.batch = true;
        next = match &mut hop.via {
            Via::Jump(before) => Some(before),
            Via::Direct | Via::Command(_) => None,
        };
    }
    let opened = open(&endpoint).await;
    match (opened, &endpoint.via) {
        (Ok(mut stream), Via::Command(_)) => stream.read_u8().await.map(drop),
        (Ok(_stream), _) => Ok(()),
        (Err(error), Via::Jump(_)) if !error.may_pass() && !error.is_timeout() => Ok(()),
        (Err(error), _) => Err(io::Error::other(error)),
    }
}

/// Opens the way through a jump host; its session lives as long as the stream.
async fn through(hop: &Endpoint, endpoint: &Endpoint) -> Result<Box<dyn Transport>, ConnectError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| ConnectError::Jump {
        hop: hop.address(),
        address: endpoint.address(),
        source,
    };
    // Boxed, because a hop may have hops.
    let session = Box::pin(Session::establish(hop, &HostKeyPolicy::KnownHosts))
        .await
        .map_err(|error| failed(Box::new(error)))?;
    let stream = session
        .open_tcp(&endpoint.host, endpoint.port)
        .await
        .map_err(|error| failed(Box::new(error)))?;
    Ok(Box::new(stream))
}

/// A command whose input and output are the connection; it is ended with it.
struct Spoken {
    input: ChildStdin,
    output: ChildStdout,
    _child: Child,
}

impl Spoken {
    fn start(command: &str) -> io::Result<Self> {
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            // As one process, so that ending it ends what talks.
            .arg(format!("exec {command}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        Ok(Self {
            input: child.stdin.take().ok_or_else(gone)?,
            output: child.stdout.take().ok_or_else(gone)?,
            _child: child,
        })
    }
}

impl AsyncRead for Spoken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(context, buffer)
    }
}

impl AsyncWrite for Spoken {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(context)
    }
}
