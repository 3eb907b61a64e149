//! Bounds on connections, so that strangers who only knock cannot use up the machine.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Longest time for a handshake.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Handshakes at once; whoever comes then is turned away, and tries again if honest.
const HANDSHAKES: usize = 128;

/// Connections at once.
const CONNECTIONS: usize = 1024;

/// Counts connections.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    handshakes: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

impl Limits {
    pub(crate) fn new() -> Self {
        Self {
            handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
        }
    }

    /// Admits a stranger to the handshake.
    pub(crate) fn handshake(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.handshakes).try_acquire_owned().ok()
    }

    /// Admits a caller.
    pub(crate) fn connection(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections).try_acquire_owned().ok()
    }
}
