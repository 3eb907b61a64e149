//! The channel between a supervisor and a process that it forked, until that process executes its command.
//!
//! It closes by itself at `execve`: an end without a word after [`ToParent::Executing`] is success.
//!
//! A process that a container can see has a copy of its end. What comes after [`ToParent::Born`] is therefore no more
//! than a claim.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use berth_agent_sys::descriptor;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use serde::{Deserialize, Serialize};

use crate::failure::{AtStep as _, Failure, step};

/// The longest message; longer ones are cut, so that a failure always arrives.
const MAX_MESSAGE: usize = 8192;

/// The longest state of a container, with its annotations.
pub(crate) const MAX_STATE: usize = 128 << 10;

/// How often a step that takes long says that it goes on.
const OFTEN: Duration = Duration::from_secs(1);

/// What the child says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToParent {
    /// A step begins.
    Reached(String),
    /// The command's process has been made, with this id, and waits for a word.
    Born(i32),
    /// Something could not be done as asked, and is not important enough to fail.
    Warning(String),
    /// The master of the terminal comes with this message.
    Terminal,
    /// Everything is mounted, and the process waits for the state of the container, for its hooks.
    Mounted,
    /// The process waits to be started.
    Created,
    /// All that is left is `execve`.
    Executing,
    Failed(Failure),
}

/// The child's end.
#[derive(Debug)]
pub(crate) struct ChildEnd {
    fd: OwnedFd,
    /// The last step that the parent has heard of, and when.
    reached: Cell<Option<(&'static str, Instant)>>,
}

/// The parent's end.
#[derive(Debug)]
pub(crate) struct ParentEnd(OwnedFd);

/// Makes a channel.
pub(crate) fn channel() -> io::Result<(ParentEnd, ChildEnd)> {
    let (parent, child) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    let child = ChildEnd {
        fd: child,
        reached: Cell::new(None),
    };
    Ok((ParentEnd(parent), child))
}

impl ChildEnd {
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn warn(&self, text: impl Into<String>) {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(MAX_MESSAGE / 4));
        // A parent that does not listen any more needs no warning.
        drop(self.send(&ToParent::Warning(text), &[]));
    }

    pub(crate) fn reached(&self, step: &'static str) {
        let last = self.reached.get();
        if last.is_some_and(|(name, when)| name == step && when.elapsed() < OFTEN) {
            return;
        }
        self.reached.set(Some((step, Instant::now())));
        // A parent that does not listen any more needs no news.
        drop(self.send(&ToParent::Reached(step.to_owned()), &[]));
    }

    pub(super) fn born(&self, pid: i32) {
        // Without this word the parent never lets the process run.
        drop(self.send(&ToParent::Born(pid), &[]));
    }

    pub(super) fn terminal(&self, master: BorrowedFd<'_>) -> io::Result<()> {
        self.send(&ToParent::Terminal, &[master])
    }

    pub(super) fn executing(&self) -> io::Result<()> {
        self.send(&ToParent::Executing, &[])
    }

    /// Says that it is time for hooks, and returns the container's state, which comes when they have been run.
    pub(super) fn mounted(&self) -> Result<Vec<u8>, Failure> {
        let what = || "waiting for hooks";
        self.send(&ToParent::Mounted, &[]).at(step::HOOK, what)?;
        let mut state = vec![0; MAX_STATE];
        let length = nix::unistd::read(&self.fd, &mut state).at(step::HOOK, what)?;
        if length == 0 {
            return Err(Failure::new(step::HOOK, "the runtime went away"));
        }
        state.truncate(length);
        Ok(state)
    }

    pub(super) fn created(&self) -> io::Result<()> {
        self.send(&ToParent::Created, &[])
    }

    /// Reports how the child ended without executing anything.
    pub(super) fn report(&self, result: Result<Infallible, Failure>) {
        let Err(mut failure) = result;
        failure
            .message
            .truncate(failure.message.floor_char_boundary(MAX_MESSAGE / 4));
        // Nobody is left to be told about a failure to tell.
        drop(self.send(&ToParent::Failed(failure), &[]));
    }

    /// Waits until the parent says that this process may go on.
    pub(super) fn wait_for_word(&self, step: &'static str) -> Result<(), Failure> {
        let mut word = [0; 1];
        // Nothing that must be a socket's: a container's filter may be in force.
        let received =
            nix::unistd::read(&self.fd, &mut word).at(step, || "waiting for the supervisor")?;
        if received == 1 {
            Ok(())
        } else {
            Err(Failure::new(step, "the supervisor went away"))
        }
    }

    fn send(&self, message: &ToParent, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        descriptor::send(&self.fd, &bytes, descriptors).map(drop)
    }
}

impl ParentEnd {
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Tells the child that it may go on.
    pub(crate) fn go(&self) -> io::Result<()> {
        descriptor::send(&self.0, b"g", &[]).map(drop)
    }

    /// Answers [`ToParent::Mounted`].
    pub(crate) fn tell_state(&self, state: &[u8]) -> io::Result<()> {
        descriptor::send(&self.0, state, &[]).map(drop)
    }

    /// Waits for something to receive; returns whether there is.
    pub(crate) fn wait(&self, limit: Duration) -> io::Result<bool> {
        // Rounded up, so that nobody asks again and again during the last millisecond.
        let limit = limit.saturating_add(Duration::from_millis(1));
        let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.fd(), PollFlags::POLLIN)], timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Waits for the next message, and the descriptor that came with it; `None` when the child has closed its end.
    pub(crate) fn receive(&self) -> io::Result<Option<(ToParent, Option<OwnedFd>)>> {
        let mut buffer = vec![0; MAX_MESSAGE];
        // A child that ends with a message of ours unread resets the channel, once; what it said last comes after that.
        let received = match descriptor::receive(&self.0, &mut buffer) {
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {
                descriptor::receive(&self.0, &mut buffer)
            }
            other => other,
        };
        let (length, mut descriptors) = match received {
            // A child that was killed with a message of ours unread resets the channel.
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            other => other?,
        };
        if length == 0 {
            return Ok(None);
        }
        let message = serde_json::from_slice(buffer.get(..length).unwrap_or_default())?;
        Ok(Some((message, descriptors.pop())))
    }
}
