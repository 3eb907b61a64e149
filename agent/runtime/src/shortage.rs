//! Telling that the kernel kills in a container for want of memory, when it does and not only at the end.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use berth_agent_sys::readiness::watched;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::cgroup::{Cgroup, Layout, OomCount, hear};
use crate::limits::group_path;
use crate::running::Running;

/// How long after the kernel has said that memory is short it may take to kill.
const KILLS_WITHIN: Duration = Duration::from_millis(500);

/// How often the count is looked at meanwhile.
const AGAIN: Duration = Duration::from_millis(10);

/// Pause after news that were none: a container at its limit makes some all the time.
const REST: Duration = Duration::from_millis(100);

/// Tells of each time that the kernel kills in a container for want of memory.
#[derive(Debug)]
pub struct Shortages {
    signal: AsyncFd<OwnedFd>,
    is_early: bool,
    count: OomCount,
    known: u64,
}

impl Running {
    /// Begins to listen for kills for want of memory; nothing on a machine that does not count them. Those that were
    /// before are told with the first.
    ///
    /// # Errors
    /// Fails when the container has ended, or the kernel does not tell.
    pub async fn shortages(&self) -> io::Result<Option<Shortages>> {
        let run_dir = self.run_dir().to_owned();
        let work = tokio::task::spawn_blocking(move || {
            let cgroup = Cgroup::new(Layout::detect()?, &group_path(&run_dir)?);
            cgroup.map_err(io::Error::other)?.watch_memory()
        });
        let Some((signal, count)) = work.await.map_err(io::Error::from).flatten()? else {
            return Ok(None);
        };
        let is_early = signal.is_early;
        Ok(Some(Shortages {
            signal: watched(signal.fd, interest(is_early))?,
            is_early,
            count,
            known: 0,
        }))
    }
}

fn interest(is_early: bool) -> Interest {
    if is_early {
        Interest::READABLE
    } else {
        Interest::PRIORITY
    }
}

// === impl Shortages ===

impl Shortages {
    /// Returns how much was killed so far; what is told afterwards comes on top of that.
    pub fn so_far(&mut self) -> u64 {
        self.known = self.count.read();
        self.known
    }

    /// Waits until something more was killed, or processes wait for memory since they may not be killed.
    ///
    /// # Errors
    /// Fails when the kernel tells no more.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn next(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.signal.ready(interest(self.is_early)).await?;
            hear(ready.get_inner(), self.is_early)?;
            ready.clear_ready();
            // Memory may be short further up, so that the kernel kills elsewhere.
            let patience = if self.is_early {
                KILLS_WITHIN
            } else {
                Duration::ZERO
            };
            let deadline = tokio::time::Instant::now() + patience;
            loop {
                let count = self.count.read();
                if count > self.known {
                    self.known = count;
                    return Ok(());
                }
                if self.count.is_waiting() {
                    return Ok(());
                }
                if tokio::time::Instant::now() >= deadline {
                    break;
                }
                tokio::time::sleep(AGAIN).await;
            }
            tokio::time::sleep(REST).await;
        }
    }
}
