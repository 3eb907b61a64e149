//! Keeps a container from being started while files of its last run are still open.
//!
//! Copying to and from a running container holds its mounts. When it ends and is started again, the
//! same directories are mounted once more, which overlayfs does not allow for. A slow client must not
//! hold the start up, so the start ends what is left of copying.

use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, RwLock, watch};

/// All copying to and from one container while it runs.
#[derive(Debug, Default)]
pub(crate) struct Copying {
    open: Arc<RwLock<()>>,
    n_ends: watch::Sender<u64>,
}

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
        let open = Arc::clone(&self.open).read_owned().await;
        let n_ends = self.n_ends.subscribe();
        let at_begin = *n_ends.borrow();
        Pass {
            _open: open,
            n_ends,
            at_begin,
        }
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
