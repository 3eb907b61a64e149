//! Open connections by the certificate of their client, so that trust that ends, ends them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustls_pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

/// What a client has shown: its certificate, then those between it and an authority.
pub type Chain = Vec<CertificateDer<'static>>;

/// All open connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: HashMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    chain: Chain,
    ended: CancellationToken,
}

/// A connection's place on the list, until it is dropped.
#[derive(Debug)]
pub struct Admission {
    id: u64,
    connections: Connections,
    ended: CancellationToken,
}

/// A client whose trust ended between its handshake and its first call.
#[derive(Debug, thiserror::Error)]
#[error("the client is no longer trusted")]
pub struct NotAdmitted;

impl Connections {
    pub(crate) fn add(&self, chain: Chain) -> Admission {
        let ended = CancellationToken::new();
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = table.next;
        table.next += 1;
        let connection = Connection {
            chain,
            ended: ended.clone(),
        };
        table.open.insert(id, connection);
        Admission {
            id,
            connections: self.clone(),
            ended,
        }
    }

    /// Ends all connections whose client is not `trusted` any more; returns how many.
    pub(crate) fn end_unless(&self, trusted: impl Fn(&Chain) -> bool) -> usize {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let to_end = table
            .open
            .values()
            .filter(|connection| !trusted(&connection.chain));
        to_end.map(|connection| connection.ended.cancel()).count()
    }
}

impl Admission {
    /// Returns what is cancelled when the client is no longer trusted.
    #[must_use]
    pub fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut table = self
            .connections
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        table.open.remove(&self.id);
    }
}
