//! Further commands in the container.
//!
//! Their streams are the agent's: it gets the descriptors and reads them itself. The supervisor keeps a copy of the
//! output ends, so that a command outlives an agent that is restarted; what it writes then goes nowhere.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::process::ExitStatus;

use berth_agent_sys::process::{fork, send_signal};

use super::clients::State;
use super::events::Supervisor;
use super::finish::exit_code;
use super::launch::cgroup_failure;
use crate::failure::{AtStep as _, Failure, step};
use crate::init::{Joining, ParentEnd, Stdio, ToParent, channel, run_exec};
use crate::protocol::{ExecMessage, ExecStream, Reply};

/// The agent's ends of a command's streams.
pub(super) type AgentEnds = Vec<(ExecStream, OwnedFd)>;

/// A command that was started and has not ended.
#[derive(Debug)]
pub(super) struct Command {
    pid: i32,
    /// Open until the command is executed.
    sync: Option<ParentEnd>,
    is_executing: bool,
    warnings: Vec<String>,
    failure: Option<Failure>,
    /// The agent's ends.
    streams: AgentEnds,
    /// Nobody reads its output any more.
    is_alone: bool,
    ended: Option<i32>,
}

impl Command {
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Returns where the command tells how its start goes.
    pub(super) fn sync(&self) -> Option<BorrowedFd<'_>> {
        self.sync.as_ref().map(ParentEnd::fd)
    }

    /// Returns the streams that are read only to throw away what comes.
    pub(super) fn discarded(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let streams = if self.is_alone {
            &self.streams[..]
        } else {
            &[][..]
        };
        streams.iter().map(|(_, fd)| fd.as_fd())
    }

    pub(super) fn discard(&mut self, index: usize) {
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

    /// Tells the client how the start went, once that is known.
    fn report(&self, exit: Option<i32>) -> Reply {
        let warnings = self.warnings.clone();
        match (&self.failure, exit) {
            (Some(failure), _) => Reply::Failed(failure.clone()),
            (None, Some(code)) => Reply::ExecExited { code },
            (None, None) => {
                let streams = self.streams.iter().map(|(kind, _)| *kind).collect();
                Reply::ExecStarted {
                    pid: self.pid,
                    warnings,
                    streams,
                }
            }
        }
    }
}

impl Supervisor {
    /// Starts a command for a client; the answer follows when it is executed.
    pub(super) fn start_command(&mut self, index: usize, message: &ExecMessage, seccomp: &[u8]) {
        let launched = match &self.container.external {
            Some(external) => external.exec(message).map(|(pid, streams)| Command {
                pid,
                sync: None,
                is_executing: true,
                warnings: Vec::new(),
                failure: None,
                streams,
                is_alone: false,
                ended: None,
            }),
            None => self.fork_command(message, seccomp),
        };
        let Some(client) = self.clients.get_mut(index) else {
            return;
        };
        match launched {
            Ok(command) => {
                client.state = State::Commanding {
                    pid: command.pid,
                    reads: true,
                };
                let is_started = command.sync.is_none();
                self.commands.push(command);
                if is_started {
                    self.command_started(self.commands.len() - 1);
                }
            }
            Err(failure) => {
                client.state = State::Answered;
                client.reply(&Reply::Failed(failure));
            }
        }
    }

    fn fork_command(&self, message: &ExecMessage, seccomp: &[u8]) -> Result<Command, Failure> {
        if self.is_paused {
            return Err(Failure::new(step::FORK, "the container is paused"));
        }
        let (streams, stdio) = open_streams(message)?;
        let (parent, child) = channel().at(step::FORK, || "channel")?;
        let container = &self.container.pidfd;
        let joining = Joining {
            message,
            seccomp,
            container,
            stdio: stdio.as_ref(),
            sync: &child,
        };
        let mut keep = vec![child.fd(), container.as_fd()];
        keep.extend(stdio.iter().flat_map(Stdio::fds));
        let pid = fork(&keep, || run_exec(&joining)).at(step::FORK, || "command")?;
        let joined = self
            .container
            .cgroup
            .join_beside(pid, self.container.pid)
            .map_err(|e| cgroup_failure(&e));
        if let Err(failure) = joined {
            // It waits for a word that never comes; its end is reaped with the others.
            drop(send_signal(pid, libc::SIGKILL));
            return Err(failure);
        }
        // A command that has failed already says so itself.
        drop(parent.go());
        Ok(Command {
            pid,
            sync: Some(parent),
            is_executing: false,
            warnings: Vec::new(),
            failure: None,
            streams,
            is_alone: false,
            ended: None,
        })
    }

    /// Takes a message of a command that is on its way.
    pub(super) fn follow_command(&mut self, index: usize) {
        let Some(command) = self.commands.get_mut(index) else {
            return;
        };
        let Some(sync) = &command.sync else { return };
        match sync.receive() {
            Ok(Some((ToParent::Warning(text), _))) => command.warnings.push(text),
            Ok(Some((ToParent::Terminal, master))) => {
                command
                    .streams
                    .extend(master.map(|master| (ExecStream::Terminal, master)));
            }
            Ok(Some((ToParent::Executing, _))) => command.is_executing = true,
            Ok(Some((ToParent::Failed(failure), _))) => command.failure = Some(failure),
            Ok(None) | Err(_) => {
                command.sync = None;
                if !command.is_executing && command.failure.is_none() {
                    command.failure = Some(Failure::new(
                        step::EXECUTE,
                        "the command was killed on its way",
                    ));
                }
                self.command_started(index);
            }
        }
    }

    /// Answers the client that asked for a command.
    fn command_started(&mut self, index: usize) {
        let Some(command) = self.commands.get_mut(index) else {
            return;
        };
        let pid = command.pid;
        let owner = |client: &&mut super::clients::Client| matches!(client.state, State::Commanding { pid: owned, .. } if owned == pid);
        let reply = command.report(None);
        match self.clients.iter_mut().find(owner) {
            Some(client) => {
                if command.failure.is_some() {
                    client.state = State::Answered;
                }
                let descriptors: Vec<BorrowedFd<'_>> =
                    command.streams.iter().map(|(_, fd)| fd.as_fd()).collect();
                client.reply_with(
                    &reply,
                    if command.failure.is_some() {
                        &[]
                    } else {
                        &descriptors
                    },
                );
            }
            None => command.is_alone = true,
        }
        // The input must end when the agent closes its copy.
        command
            .streams
            .retain(|(kind, _)| *kind != ExecStream::Stdin);
        if let Some(code) = command.ended {
            self.tell_end(pid, code);
        }
    }

    /// Notes that a child that is not the container's first process has ended.
    pub(super) fn command_ended(&mut self, pid: i32, status: ExitStatus) {
        let (code, _) = exit_code(status);
        let Some(command) = self.commands.iter_mut().find(|command| command.pid == pid) else {
            return;
        };
        command.ended = Some(code);
        if command.sync.is_none() {
            self.tell_end(pid, code);
        }
    }

    fn tell_end(&mut self, pid: i32, code: i32) {
        self.commands.retain(|command| command.pid != pid);
        for client in &mut self.clients {
            if matches!(client.state, State::Commanding { pid: owned, .. } if owned == pid) {
                client.state = State::Answered;
                client.reply(&Reply::ExecExited { code });
            }
        }
    }

    /// The client that asked for a command has gone.
    pub(super) fn command_left_alone(&mut self, pid: i32) {
        if let Some(command) = self.commands.iter_mut().find(|command| command.pid == pid) {
            command.is_alone = true;
        }
    }

    /// Deals with the rest of what commands have said, at the container's end.
    pub(super) fn end_commands(&mut self) {
        let unfinished: Vec<i32> = self.commands.iter().map(|command| command.pid).collect();
        for pid in unfinished {
            while let Some(index) = self
                .commands
                .iter()
                .position(|c| c.pid == pid && c.sync.is_some())
            {
                self.follow_command(index);
            }
            // Whatever ran in the container was killed with it.
            self.tell_end(pid, 128 + libc::SIGKILL);
        }
    }
}

/// Makes the streams of a command: the agent's ends, and the command's, which for a terminal it opens itself.
pub(super) fn open_streams(message: &ExecMessage) -> Result<(AgentEnds, Option<Stdio>), Failure> {
    if message.process.terminal() == Some(true) {
        return Ok((Vec::new(), None));
    }
    make_pipes(message)
        .map(|(streams, stdio)| (streams, Some(stdio)))
        .at(step::STREAMS, || "pipes")
}

fn make_pipes(message: &ExecMessage) -> io::Result<(AgentEnds, Stdio)> {
    let null = |options: &mut std::fs::OpenOptions| options.open("/dev/null").map(OwnedFd::from);
    let mut streams = Vec::new();
    let mut output = |kind| -> io::Result<OwnedFd> {
        if !message.attach {
            return null(File::options().write(true));
        }
        let (reader, writer) = io::pipe()?;
        streams.push((kind, reader.into()));
        Ok(writer.into())
    };
    let stdout = output(ExecStream::Stdout)?;
    let stderr = output(ExecStream::Stderr)?;
    let stdin = if message.attach && message.stdin {
        let (reader, writer) = io::pipe()?;
        streams.push((ExecStream::Stdin, writer.into()));
        reader.into()
    } else {
        null(File::options().read(true))?
    };
    Ok((
        streams,
        Stdio::Files {
            stdin,
            stdout,
            stderr,
        },
    ))
}
