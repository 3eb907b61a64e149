//! Threads for archives on their way in and out.
//!
//! They wait for clients, which may be slow or may never go on. So they are not those of the pool that
//! everything else of the agent needs, and there is a number of places: when all are taken, a copy that
//! has not gone on for a minute makes room for one that waits.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::error::FilesError;

/// How many archives are on their way at once; each takes a thread and about 2 MiB.
const PLACES: usize = 64;

/// How many paths are looked at at once.
const LOOKS: usize = 32;

/// How long a client may let a copy stand still while others wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// All archives on their way.
#[derive(Debug)]
pub(crate) struct Copies {
    places: Arc<Semaphore>,
    /// Those who only look wait for no client, so copies that stand still do not hold them up.
    looks: Arc<Semaphore>,
    n_waiting: Arc<watch::Sender<usize>>,
    patience: Duration,
}

/// Leave for one archive; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    n_waiting: watch::Receiver<usize>,
    patience: Duration,
}

/// One that waits, until it is dropped.
struct Waiter(Arc<watch::Sender<usize>>);

// === impl Copies ===

impl Default for Copies {
    fn default() -> Self {
        Self::new(PLACES, PATIENCE)
    }
}

impl Copies {
    pub(super) fn new(places: usize, patience: Duration) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            looks: Arc::new(Semaphore::new(LOOKS)),
            n_waiting: Arc::new(watch::Sender::new(0)),
            patience,
        }
    }

    /// Waits for a place.
    pub(super) async fn place(&self) -> Place {
        let waiter = Waiter::new(&self.n_waiting);
        let permit = permit(&self.places).await;
        drop(waiter);
        Place {
            _permit: permit,
            n_waiting: self.n_waiting.subscribe(),
            patience: self.patience,
        }
    }
}

impl Copies {
    /// Waits until one more path may be looked at.
    pub(super) async fn look(&self) -> OwnedSemaphorePermit {
        permit(&self.looks).await
    }
}

async fn permit(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    match Arc::clone(semaphore).acquire_owned().await {
        Ok(permit) => permit,
        // Nobody closes it.
        Err(_closed) => std::future::pending().await,
    }
}

// === impl Place ===

impl Place {
    /// Returns when a copy that has stood still since the call must make room for another one.
    pub(super) async fn gives_way(&self) {
        tokio::time::sleep(self.patience).await;
        let mut n_waiting = self.n_waiting.clone();
        if n_waiting.wait_for(|n| *n > 0).await.is_err() {
            // The engine is gone; nobody waits.
            std::future::pending::<()>().await;
        }
    }
}

// === impl Waiter ===

impl Waiter {
    fn new(n_waiting: &Arc<watch::Sender<usize>>) -> Self {
        n_waiting.send_modify(|n| *n += 1);
        Self(Arc::clone(n_waiting))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n -= 1);
    }
}

/// Does something that waits for a client, or for a file system, on a thread of its own in the context of
/// the runtime. It goes on when the future that is returned is dropped.
pub(super) fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<impl Future<Output = T>, FilesError> {
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name("berthd-files".to_owned());
    let runtime = Handle::current();
    let run = move || {
        let _context = runtime.enter();
        let result = std::panic::catch_unwind(AssertUnwindSafe(work));
        // Whoever asked may have left.
        let _ = sender.send(result);
    };
    thread.spawn(run).map_err(FilesError::Thread)?;
    Ok(async {
        match receiver.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            // The thread sends in any case.
            Err(_closed) => std::future::pending().await,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_that_stands_still_makes_room_only_when_another_one_waits() {
        let patience = Duration::from_millis(5);
        let long = 20 * patience;
        let copies = Arc::new(Copies::new(1, patience));
        let stalled = copies.place().await;
        let alone = tokio::time::timeout(long, stalled.gives_way()).await;
        assert!(alone.is_err(), "nobody waits");
        let waiting = {
            let copies = Arc::clone(&copies);
            tokio::spawn(async move { drop(copies.place().await) })
        };
        stalled.gives_way().await;
        assert!(!waiting.is_finished());
        drop(stalled);
        waiting.await.expect("place");
        // One that goes away does not wait any more.
        let taken = copies.place().await;
        tokio::time::timeout(patience, copies.place())
            .await
            .expect_err("taken");
        tokio::time::timeout(long, taken.gives_way())
            .await
            .expect_err("nobody waits");
    }
}
