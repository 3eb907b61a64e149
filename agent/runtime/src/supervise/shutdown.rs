//! The machine goes down: whoever ends a supervisor with `SIGTERM` wants its container to end.
//!
//! Nothing of berth sends that signal (an agent that is restarted or replaced leaves its supervisors alone, see the
//! service's `KillMode=process`), but systemd does to every process when the machine shuts down, and waits a minute and
//! a half for those that stay.

use std::time::{Duration, Instant};

use berth_agent_sys::process::send_signal;

use super::events::Supervisor;

/// Time that the container's first process gets between `SIGTERM` and `SIGKILL`, unless the supervisor's arguments name
/// another.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// How the supervisor's arguments name it, in milliseconds.
const ARGUMENT: &str = "--shutdown-grace=";

/// Returns what the arguments say, or [`GRACE`].
pub(super) fn grace(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Duration {
    let named = arguments.into_iter().find_map(|argument| {
        let value = argument.to_str()?.strip_prefix(ARGUMENT)?;
        value.parse().ok().map(Duration::from_millis)
    });
    named.unwrap_or(GRACE)
}

/// How far it is.
#[derive(Debug)]
pub(super) struct Shutdown {
    pub(super) grace: Duration,
    /// When the container is killed.
    deadline: Option<Instant>,
}

impl Shutdown {
    pub(super) fn new(grace: Duration) -> Self {
        Self {
            grace,
            deadline: None,
        }
    }

    /// Returns how long to wait before there is something to do.
    pub(super) fn left(&self) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

impl Supervisor {
    /// Asks the container's first process to end.
    pub(super) fn begin_shutdown(&mut self) {
        if self.shutdown.deadline.is_some() {
            return;
        }
        self.shutdown.deadline = Some(Instant::now() + self.shutdown.grace);
        // It may have ended; then it is about to be reaped.
        drop(send_signal(self.container.pid, libc::SIGTERM));
        self.thaw();
    }

    /// Ends it if it has had its time.
    pub(super) fn enforce_shutdown(&mut self) {
        if self.shutdown.left().is_some_and(|left| left.is_zero()) {
            drop(send_signal(self.container.pid, libc::SIGKILL));
            self.thaw();
            // Once is enough; should it hang in the kernel, there is nothing more to be done.
            self.shutdown.deadline = Some(Instant::now() + Duration::from_secs(3600));
        }
    }
}
