//! One further command, from the order to its end.

use std::fs::File;
use std::io::{self, Read as _};
use std::mem;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use berth_agent_sys::process::{is_child, send_signal};

use super::streams::AgentEnds;
use crate::failure::{Failure, step};
use crate::init::{ParentEnd, ToParent};
use crate::protocol::{ExecStream, Reply};
use crate::supervise::external::Errand;
use crate::supervise::patience::Patience;

/// How many messages of a command that is late are read at once. No start has as many.
const MANY: usize = 64;

/// Who makes the command's process.
#[derive(Debug)]
pub(super) enum Maker {
    /// A process of ours, which tells how it goes until the command is executed.
    Helper { pid: i32, sync: ParentEnd },
    /// An external runtime, whose end tells.
    Runtime(Errand),
    /// Nobody any more: the command runs, or has failed to.
    Done,
}

/// A command that was started and has not ended.
#[derive(Debug)]
pub(in crate::supervise) struct Command {
    /// Its name in the supervisor, from the order on.
    pub(super) id: u64,
    pub(super) maker: Maker,
    /// The command's process, when it has been made.
    pub(super) pid: Option<i32>,
    is_executing: bool,
    warnings: Vec<String>,
    pub(super) failure: Option<Failure>,
    wants_terminal: bool,
    /// The agent's ends.
    pub(super) streams: AgentEnds,
    /// Nobody reads its output any more.
    pub(super) is_alone: bool,
    pub(super) ended: Option<i32>,
    pub(super) patience: Patience,
}

impl Command {
    pub(super) fn new(id: u64, maker: Maker, streams: AgentEnds, wants_terminal: bool) -> Self {
        let patience = match maker {
            Maker::Runtime(_) => Patience::with_program(step::EXTERNAL),
            Maker::Helper { .. } | Maker::Done => Patience::with(step::CGROUP),
        };
        Self {
            id,
            maker,
            pid: None,
            is_executing: false,
            warnings: Vec::new(),
            failure: None,
            wants_terminal,
            streams,
            is_alone: false,
            ended: None,
            patience,
        }
    }

    /// Returns whether this is the id of the command's process, and nobody else's.
    pub(in crate::supervise) fn is_running_as(&self, pid: i32) -> bool {
        self.pid == Some(pid) && self.ended.is_none()
    }

    /// Returns the process that makes the command's process.
    pub(super) fn maker_pid(&self) -> Option<i32> {
        match &self.maker {
            Maker::Helper { pid, .. } => Some(*pid),
            Maker::Runtime(errand) => Some(errand.pid()),
            Maker::Done => None,
        }
    }

    /// Returns where the command tells how its start goes.
    pub(in crate::supervise) fn sync(&self) -> Option<BorrowedFd<'_>> {
        match &self.maker {
            Maker::Helper { sync, .. } => Some(sync.fd()),
            Maker::Runtime(_) | Maker::Done => None,
        }
    }

    /// Returns how long to wait before its start is to be looked at; nothing when it has started.
    pub(in crate::supervise) fn left(&self) -> Option<Duration> {
        self.maker_pid().map(|_| self.patience.left())
    }

    /// Returns whether its start has taken as long as it may without being looked at.
    pub(super) fn is_due(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// Takes the messages that are there already; false when the last was among them.
    ///
    /// A supervisor that was held up itself has not read the progress that there was meanwhile. A process that the
    /// container can see may say more and more, but gains no time by it.
    pub(super) fn catch_up(&mut self) -> bool {
        for _message in 0..MANY {
            match &self.maker {
                Maker::Helper { sync, .. } if sync.wait(Duration::ZERO).unwrap_or(false) => {
                    if !self.follow() {
                        return false;
                    }
                }
                _ => break,
            }
        }
        true
    }

    /// Takes a message of a command that is on its way; false when that was the last.
    pub(super) fn follow(&mut self) -> bool {
        let Maker::Helper { sync, .. } = &self.maker else {
            return false;
        };
        match sync.receive() {
            Ok(Some((message, descriptor))) => {
                self.take(message, descriptor);
                true
            }
            Ok(None) | Err(_) => {
                self.maker = Maker::Done;
                let is_started = self.is_executing && self.pid.is_some();
                if !is_started && self.failure.is_none() {
                    self.failure = Some(Failure::new(
                        step::EXECUTE,
                        "the command was killed on its way; if its seccomp profile is its own, it must allow setsid and prctl",
                    ));
                }
                false
            }
        }
    }

    /// Believes what nobody in the container can have said: before the process is made that it can see, everything,
    /// afterwards only what concerns that process alone.
    fn take(&mut self, message: ToParent, descriptor: Option<OwnedFd>) {
        match (message, self.pid) {
            (ToParent::Reached(step), None) => self.patience.reached(&step),
            (ToParent::Warning(text), None) => self.warnings.push(text),
            (ToParent::Terminal, None) if self.wants_terminal => {
                self.wants_terminal = false;
                self.streams
                    .extend(descriptor.map(|master| (ExecStream::Terminal, master)));
            }
            (ToParent::Born(pid), None) if is_child(pid) => {
                self.pid = Some(pid);
                self.patience.reached(step::EXECUTE);
                if let Maker::Helper { sync, .. } = &self.maker {
                    // A command that has failed already says so itself.
                    drop(sync.go());
                }
            }
            (ToParent::Executing, Some(_)) => self.is_executing = true,
            (ToParent::Failed(failure), _) if self.failure.is_none() => {
                self.failure = Some(failure);
            }
            _ => {}
        }
    }

    /// Ends whatever of a command that does not start is there. Returns the external runtime that was to make it, which
    /// may have made a process that is not known yet.
    pub(super) fn give_up(&mut self, failure: Failure) -> Option<Errand> {
        for pid in [self.maker_pid(), self.pid].into_iter().flatten() {
            // A maker that has ended and been reaped is no child any more, and its number may be another's.
            if is_child(pid) {
                drop(send_signal(pid, libc::SIGKILL));
            }
        }
        self.failure.get_or_insert(failure);
        match mem::replace(&mut self.maker, Maker::Done) {
            Maker::Runtime(errand) => Some(errand),
            Maker::Helper { .. } | Maker::Done => None,
        }
    }

    /// Returns the streams that are read only to throw away what comes.
    pub(in crate::supervise) fn discarded(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let streams = if self.is_alone {
            &self.streams[..]
        } else {
            &[][..]
        };
        streams.iter().map(|(_, fd)| fd.as_fd())
    }

    pub(in crate::supervise) fn discard(&mut self, index: usize) {
        let Some((_, fd)) = self.streams.get(index) else {
            return;
        };
        let mut buffer = [0; 4096];
        let read = fd
            .try_clone()
            .map(File::from)
            .and_then(|mut file| file.read(&mut buffer));
        let is_open = match read {
            Ok(length) => length > 0,
            Err(e) => matches!(
                e.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ),
        };
        if !is_open {
            self.streams.remove(index);
        }
    }

    /// Returns what the client is told about the start.
    pub(super) fn report(&self) -> Reply {
        match (&self.failure, self.pid) {
            (Some(failure), _) => Reply::Failed(failure.clone()),
            (None, Some(pid)) => Reply::ExecStarted {
                pid,
                warnings: self.warnings.clone(),
                streams: self.streams.iter().map(|(kind, _)| *kind).collect(),
            },
            (None, None) => {
                Reply::Failed(Failure::new(step::EXECUTE, "the command has no process"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process;

    use super::*;
    use crate::init::{ChildEnd, channel};

    /// Longer than anybody waits.
    const LONG: Duration = Duration::from_secs(200);

    /// A command whose helper is this very process, so that nothing may be killed, and its end of the channel.
    fn command() -> (Command, ChildEnd) {
        let (sync, child) = channel().unwrap();
        let pid = process::id().cast_signed();
        let command = Command::new(1, Maker::Helper { pid, sync }, Vec::new(), false);
        (command, child)
    }

    #[test]
    fn progress_that_a_supervisor_has_not_read_yet_counts() {
        let (mut command, child) = command();
        command.patience.age(LONG);
        assert!(command.is_due());
        child.reached(step::CGROUP);
        assert!(command.catch_up());
        assert!(!command.is_due());
    }

    #[test]
    fn a_start_that_is_over_is_not_given_up() {
        let (mut command, child) = command();
        command.patience.age(LONG);
        drop(child);
        assert!(!command.catch_up());
        assert!(command.maker_pid().is_none());
    }

    #[test]
    fn words_without_progress_gain_no_time() {
        let (mut command, child) = command();
        command.patience.age(LONG);
        for _ in 0..3 {
            child.warn("patience");
        }
        assert!(command.catch_up());
        assert!(command.is_due());
        drop(child);
    }
}
