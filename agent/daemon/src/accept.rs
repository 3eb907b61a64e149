//! Accepts connections until the agent stops.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use berth_agent_trust::{Caller, Trust};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::connection;
use crate::handshakes::{HANDSHAKE_TIMEOUT, Limits};
use crate::idle::Activity;
use crate::service::Face;
use crate::tls;

/// Who comes over TCP is no user of this machine.
const NO_USER: u32 = u32::MAX;
/// Pause after the system ran out of something, such as file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// What every connection gets.
#[derive(Clone, Debug)]
pub(crate) struct Reception {
    pub(crate) face: Face,
    pub(crate) limits: Limits,
    pub(crate) stopping: CancellationToken,
    pub(crate) connections: TaskTracker,
    pub(crate) activity: Activity,
}

/// Accepts on TCP, with TLS.
pub(crate) async fn tcp(listener: TcpListener, trust: Arc<Trust>, reception: Reception) {
    loop {
        let accepted = tokio::select! {
            // Cancel-safe by its documentation.
            accepted = listener.accept() => accepted,
            () = reception.stopping.cancelled() => return,
        };
        let Some((stream, peer)) = taken(accepted).await else {
            continue;
        };
        let Some(admission) = reception.limits.handshake() else {
            tracing::warn!(%peer, "turned away: too many handshakes");
            continue;
        };
        let span = tracing::debug_span!("connection", %peer);
        let (trust, own) = (Arc::clone(&trust), reception.clone());
        let task = async move {
            let handshake = tls::handshake(stream, &trust);
            let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await;
            drop(admission);
            match handshake {
                Ok(Ok((stream, caller))) => own.serve(stream, (caller, NO_USER)).await,
                Ok(Err(error)) => tracing::info!(%peer, error = %error, "handshake refused"),
                Err(_elapsed) => tracing::info!(%peer, "handshake took too long"),
            }
        };
        reception.connections.spawn(task.instrument(span));
    }
}

/// Accepts on a unix socket, which only root can reach.
pub(crate) async fn unix(listener: UnixListener, reception: Reception) {
    loop {
        let accepted = tokio::select! {
            // Cancel-safe by its documentation.
            accepted = listener.accept() => accepted,
            () = reception.stopping.cancelled() => return,
        };
        let Some((stream, _peer)) = taken(accepted).await else {
            continue;
        };
        let own = reception.clone();
        let span = tracing::debug_span!("connection", peer = "unix");
        // The kernel knows it of every connected socket.
        let uid = stream.peer_cred().map_or(u32::MAX, |peer| peer.uid());
        let caller = (Caller::Local, uid);
        reception
            .connections
            .spawn(async move { own.serve(stream, caller).await }.instrument(span));
    }
}

/// Returns the connection; a failure that would repeat at once is waited out.
async fn taken<S>(accepted: io::Result<S>) -> Option<S> {
    match accepted {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!(error = %error, "connection not accepted");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

impl Reception {
    async fn serve<S>(self, stream: S, (caller, uid): (Caller, u32))
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let Some(admission) = self.limits.connection() else {
            tracing::warn!("turned away: too many connections");
            return;
        };
        self.activity.note();
        let face = self.face.called_by(caller, uid, Arc::new(admission));
        connection::serve(stream, face, self.stopping).await;
        self.activity.note();
    }
}
