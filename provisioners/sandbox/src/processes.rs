//! Handles on processes, safe against the reuse of their numbers.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process that existed when the handle was made.
#[derive(Debug)]
pub(crate) struct Process(OwnedFd);

impl Process {
    /// Returns a handle on process `number`, if there is one.
    pub(crate) fn open(number: i32) -> io::Result<Option<Self>> {
        let Some(pid) = Pid::from_raw(number) else {
            return Ok(None);
        };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => Ok(Some(Self(handle))),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a signal; a process that has ended does not mind.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.0, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the process has ended and tells whether it has.
    pub(crate) fn wait(&self, at_most: Duration) -> io::Result<bool> {
        readable(&self.0, at_most)
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until `file` can be read (or has ended) and tells whether it can.
pub(crate) fn readable(file: &impl AsFd, at_most: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + at_most;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut waited = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waited, left) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
