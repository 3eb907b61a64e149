//! Keeps a container from being started while files of it are still open.
//!
//! Copying holds mounts: those of a running container, or the one that was made for a container that
//! does not run. When it is started, the same directories are mounted once more, which overlayfs does
//! not allow for. A slow client must not hold the start up, so the start ends what is left of copying.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use berth_agent_snapshots::PrivateMount;
use tokio::sync::{OwnedRwLockReadGuard, RwLock, watch};

/// All copying to and from one container.
#[derive(Debug, Default)]
pub(crate) struct Copying {
    open: Arc<RwLock<()>>,
    n_ends: watch::Sender<u64>,
    /// What those share who work on it while it does not run.
    stopped: Mutex<Weak<Stopped>>,
}

/// What is mounted of a container that does not run, for all who work on it.
#[derive(Debug, Default)]
pub(super) struct Stopped(Mutex<Option<Arc<PrivateMount>>>);

/// Leave to work on a container's files; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Pass {
    _open: OwnedRwLockReadGuard<()>,
    n_ends: watch::Receiver<u64>,
    at_begin: u64,
}

impl Copying {
    /// Begins to work on the files.
    pub(crate) async fn begin(&self) -> Pass {
        self.begin_with(|| {}).await
    }

    /// `entered` is called where an end that is asked for must not be missed.
    async fn begin_with(&self, mut entered: impl FnMut()) -> Pass {
        let n_ends = self.n_ends.subscribe();
        loop {
            let at_begin = *n_ends.borrow();
            let open = Arc::clone(&self.open).read_owned().await;
            entered();
            // Who asked for an end meanwhile may have meant this one, and waits for it.
            if *n_ends.borrow() == at_begin {
                return Pass {
                    _open: open,
                    n_ends,
                    at_begin,
                };
            }
        }
    }

    /// Joins those who work on it while it does not run; nothing when there is nobody. The container's
    /// lifecycle lock is held.
    pub(super) fn join(&self) -> Option<Arc<Stopped>> {
        let stopped = self.stopped.lock();
        stopped.unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// Is the first to work on it while it does not run. The container's lifecycle lock is held, and
    /// nobody has anything open.
    pub(super) fn be_first(&self) -> Arc<Stopped> {
        let first = Arc::new(Stopped::default());
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        *stopped = Arc::downgrade(&first);
        first
    }

    /// Ends all that is going on, and returns when nobody has anything open any more.
    pub(crate) async fn end_all(&self) {
        if self.open.try_write().is_ok() {
            return;
        }
        self.n_ends.send_modify(|n| *n += 1);
        drop(self.open.write().await);
    }
}

impl Stopped {
    /// Returns what is mounted; one after the other asks for it, and the first mounts it.
    pub(super) fn mount<E>(
        &self,
        make: impl FnOnce() -> Result<PrivateMount, E>,
    ) -> Result<Arc<PrivateMount>, E> {
        let mut mount = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mount) = &*mount {
            return Ok(Arc::clone(mount));
        }
        let made = Arc::new(make()?);
        *mount = Some(Arc::clone(&made));
        Ok(made)
    }
}

impl Pass {
    /// Returns when the work must end.
    pub(crate) async fn ended(&self) {
        let mut n_ends = self.n_ends.clone();
        let at_begin = self.at_begin;
        if n_ends.wait_for(|n| *n != at_begin).await.is_err() {
            // The container is gone, and with it everybody who could ask for the end.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_end_that_is_asked_for_meanwhile_is_not_missed() {
        let copying = Copying::default();
        let mut n_entered = 0;
        let pass = copying.begin_with(|| {
            n_entered += 1;
            if n_entered == 1 {
                // As an end does that finds the lock taken.
                assert!(copying.open.try_write().is_err(), "not taken");
                copying.n_ends.send_modify(|n| *n += 1);
            }
        });
        let pass = pass.await;
        assert_eq!(n_entered, 2, "it went on as if nothing had been asked for");
        let ended = tokio::time::timeout(std::time::Duration::from_millis(20), pass.ended());
        assert!(ended.await.is_err(), "ended without a cause");
    }

    #[tokio::test]
    async fn an_end_waits_for_those_who_work_and_tells_them() {
        let copying = Arc::new(Copying::default());
        copying.end_all().await;
        let pass = copying.begin().await;
        let ending = {
            let copying = Arc::clone(&copying);
            tokio::spawn(async move { copying.end_all().await })
        };
        pass.ended().await;
        assert!(!ending.is_finished());
        drop(pass);
        ending.await.expect("end");
        // The next one knows nothing of it.
        let pass = copying.begin().await;
        let ended = tokio::time::timeout(std::time::Duration::from_millis(20), pass.ended());
        assert!(ended.await.is_err(), "ended without a cause");
    }
}
