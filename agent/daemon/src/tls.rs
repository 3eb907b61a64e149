//! TLS with client certificates: who has none of the operator's authority is told nothing.

use std::io;
use std::sync::Arc;

use anyhow::Context as _;
use berth_agent_trust::{Caller, Chain, Guarded, Trust, TrustFiles};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::TlsConfig;

/// Loads certificates and keys.
pub(crate) fn open(config: &TlsConfig) -> anyhow::Result<Arc<Trust>> {
    let files = TrustFiles {
        ca: config.ca.clone(),
        cert: config.cert.clone(),
        key: config.key.clone(),
    };
    Ok(Arc::new(
        Trust::open(files).context("loading certificates")?,
    ))
}

/// Silence on a connection after which the kernel asks for a sign of life.
const SILENCE_SECONDS: u32 = 60;
/// Between such questions.
const ASK_SECONDS: u32 = 15;
/// Questions without an answer after which the other side is dead.
const QUESTIONS: u32 = 4;

/// Has the kernel end the connection of a client that has vanished: output of a silent container would
/// never tell.
fn notice_death(stream: &TcpStream) -> io::Result<()> {
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &SILENCE_SECONDS)?;
    setsockopt(stream, sockopt::TcpKeepInterval, &ASK_SECONDS)?;
    setsockopt(stream, sockopt::TcpKeepCount, &QUESTIONS)?;
    Ok(())
}

/// Makes the handshake with a client; returns its stream, which breaks when trust in the client
/// ends, and who it is.
pub(crate) async fn handshake(
    stream: TcpStream,
    trust: &Trust,
) -> io::Result<(Guarded<TlsStream<TcpStream>>, Caller)> {
    stream.set_nodelay(true)?;
    notice_death(&stream)?;
    let gate = trust.gate();
    let stream = TlsAcceptor::from(Arc::clone(&gate.config))
        .accept(stream)
        .await?;
    let shown = stream.get_ref().1.peer_certificates();
    let client: Chain = shown
        .ok_or_else(|| io::Error::other("no certificate"))?
        .iter()
        .map(|certificate| certificate.clone().into_owned())
        .collect();
    let admission = trust
        .admit(&gate, client.clone())
        .map_err(io::Error::other)?;
    Ok((Guarded::new(stream, admission), Caller::Remote(client)))
}
