//! Gives memory back once nobody has called for a while: the agent mostly waits, and what it needed
//! for work (freed heap, its own code) need not stay resident. Code comes back page by page.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

/// Quiet time after which memory is given back.
const QUIET: Duration = Duration::from_secs(3);

/// Learns of calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity(Arc<Notify>);

impl Activity {
    /// Somebody came or went.
    pub(crate) fn note(&self) {
        self.0.notify_one();
    }

    /// Gives memory back after each burst of calls, for ever.
    pub(crate) async fn trim_when_quiet(self) {
        loop {
            self.0.notified().await;
            // Every further call starts the quiet time anew.
            while tokio::time::timeout(QUIET, self.0.notified()).await.is_ok() {}
            berth_agent_sys::memory::release_free_memory();
            berth_agent_sys::residence::forget_program();
        }
    }
}
