//! One further command, from the order to its end.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use berth_agent_sys::process::{is_child, send_signal};

use super::streams::AgentEnds;
use crate::failure::{Failure, step};
use crate::init::{ParentEnd, ToParent};
use crate::protocol::{ExecStream, Reply};
use crate::supervise::external::Errand;
use crate::supervise::patience::Patience;

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
        let first = match maker {
            Maker::Runtime(_) => step::EXTERNAL,
            Maker::Helper { .. } | Maker::Done => step::CGROUP,
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
            patience: Patience::with(first),
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

    /// Ends whatever of a command that does not start is there.
    pub(super) fn give_up(&mut self, failure: Failure) {
        for pid in [self.maker_pid(), self.pid].into_iter().flatten() {
            // A maker that has ended and been reaped is no child any more, and its number may be another's.
            if is_child(pid) {
                drop(send_signal(pid, libc::SIGKILL));
            }
        }
        self.maker = Maker::Done;
        self.failure.get_or_insert(failure);
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
