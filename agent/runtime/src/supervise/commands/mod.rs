//! Further commands in the container.
//!
//! Their streams are the agent's: it gets the descriptors and reads them itself. The supervisor keeps a copy of the
//! output ends, so that a command outlives an agent that is restarted; what it writes then goes nowhere.

mod command;
mod streams;

use std::os::fd::{AsFd as _, BorrowedFd};
use std::process::ExitStatus;
use std::time::Duration;

use berth_agent_sys::process::{fork, send_signal};

pub(super) use self::command::Command;
use self::command::Maker;
pub(super) use self::streams::{AgentEnds, open_streams};
use super::clients::{Client, State};
use super::events::Supervisor;
use super::finish::exit_code;
use super::launch::cgroup_failure;
use crate::failure::{AtStep as _, Failure, step};
use crate::init::{Joining, Stdio, channel, run_exec};
use crate::protocol::{ExecMessage, ExecStream, Reply};

/// How long the end of the container waits for what a command says last.
const LAST_WORDS: Duration = Duration::from_millis(200);

impl Supervisor {
    /// Starts a command for a client; the answer follows when it is executed.
    pub(super) fn start_command(&mut self, index: usize, message: &ExecMessage, seccomp: &[u8]) {
        self.last_command += 1;
        let id = self.last_command;
        let launched = if self.is_paused {
            Err(Failure::new(step::FORK, "the container is paused"))
        } else {
            match &self.container.external {
                Some(external) => external.exec(message, id).map(|(errand, streams)| {
                    Command::new(id, Maker::Runtime(errand), streams, false)
                }),
                None => self.fork_command(message, seccomp, id),
            }
        };
        let Some(client) = self.clients.get_mut(index) else {
            return;
        };
        match launched {
            Ok(command) => {
                client.state = State::Commanding { id, reads: true };
                self.commands.push(command);
            }
            Err(failure) => {
                client.state = State::Answered;
                client.reply(&Reply::Failed(failure));
            }
        }
    }

    fn fork_command(
        &self,
        message: &ExecMessage,
        seccomp: &[u8],
        id: u64,
    ) -> Result<Command, Failure> {
        let (streams, stdio) = open_streams(message)?;
        let (sync, child) = channel().at(step::FORK, || "channel")?;
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
        let helper =
            fork(&keep, |copied| run_exec(&joining, copied)).at(step::FORK, || "command")?;
        let joined = self
            .container
            .cgroup
            .join_beside(helper, self.container.pid)
            .map_err(|e| cgroup_failure(&e));
        if let Err(failure) = joined {
            // It waits for a word that never comes; its end is reaped with the others.
            drop(send_signal(helper, libc::SIGKILL));
            return Err(failure);
        }
        // A command that has failed already says so itself.
        drop(sync.go());
        let maker = Maker::Helper { pid: helper, sync };
        Ok(Command::new(id, maker, streams, stdio.is_none()))
    }

    /// Takes a message of a command that is on its way.
    pub(super) fn follow_command(&mut self, index: usize) {
        if let Some(command) = self.commands.get_mut(index)
            && !command.follow()
        {
            self.command_started(index);
        }
    }

    /// Gives up commands that make no progress on their way.
    pub(super) fn look_at_commands(&mut self) {
        if self.commands.iter().any(Command::is_due) {
            // An external runtime that has returned while something held this process up is not late.
            self.reap();
        }
        for index in (0..self.commands.len()).rev() {
            let Some(command) = self.commands.get_mut(index) else {
                continue;
            };
            let Some(maker) = command.maker_pid() else {
                continue;
            };
            if self.is_paused {
                // It is paused with the others, and goes on with them.
                command.patience.renew();
                continue;
            }
            if command.is_due() && !command.catch_up() {
                self.command_started(index);
                continue;
            }
            if let Some(failure) = command.patience.look_at(command.pid.unwrap_or(maker)) {
                self.abandoned.extend(command.give_up(failure));
                self.command_started(index);
            }
        }
    }

    /// Answers the client that asked for a command.
    fn command_started(&mut self, index: usize) {
        let Some(command) = self.commands.get_mut(index) else {
            return;
        };
        let id = command.id;
        let reply = command.report();
        let has_failed = command.failure.is_some();
        match self.clients.iter_mut().find(|client| client.commands(id)) {
            Some(client) if has_failed => {
                client.state = State::Answered;
                client.reply(&reply);
            }
            Some(client) => {
                let descriptors: Vec<BorrowedFd<'_>> =
                    command.streams.iter().map(|(_, fd)| fd.as_fd()).collect();
                client.reply_with(&reply, &descriptors);
            }
            None => command.is_alone = true,
        }
        // The input must end when the agent closes its copy.
        command
            .streams
            .retain(|(kind, _)| *kind != ExecStream::Stdin);
        if has_failed {
            self.commands.remove(index);
        } else if let Some(code) = command.ended {
            self.tell_end(id, code);
        }
    }

    /// Returns the command that an external runtime makes with this process.
    pub(super) fn command_of_runtime(&self, pid: i32) -> Option<usize> {
        let is_maker = |command: &Command| matches!(&command.maker, Maker::Runtime(errand) if errand.pid() == pid);
        self.commands.iter().position(is_maker)
    }

    /// Takes what an external runtime has made when it has returned.
    pub(super) fn runtime_returned(&mut self, index: usize, status: ExitStatus) {
        let (Some(command), Some(external)) = (
            self.commands.get_mut(index),
            self.container.external.as_ref(),
        ) else {
            return;
        };
        if let Maker::Runtime(errand) = std::mem::replace(&mut command.maker, Maker::Done) {
            match external.take_command(errand, status) {
                Ok((pid, master)) => {
                    command.pid = Some(pid);
                    command
                        .streams
                        .extend(master.map(|master| (ExecStream::Terminal, master)));
                }
                Err(failure) => command.failure = Some(failure),
            }
        }
        self.command_started(index);
    }

    /// Notes that a child that is not the container's first process has ended.
    pub(super) fn command_ended(&mut self, pid: i32, status: ExitStatus) {
        let (code, _) = exit_code(status);
        let is_it = |command: &&mut Command| command.pid == Some(pid);
        let Some(command) = self.commands.iter_mut().find(is_it) else {
            return;
        };
        command.ended = Some(code);
        if command.maker_pid().is_none() {
            let id = command.id;
            self.tell_end(id, code);
        }
    }

    fn tell_end(&mut self, id: u64, code: i32) {
        self.commands.retain(|command| command.id != id);
        for client in &mut self.clients {
            if client.commands(id) {
                client.state = State::Answered;
                client.reply(&Reply::ExecExited { code });
            }
        }
    }

    /// The client that asked for a command has gone.
    pub(super) fn command_left_alone(&mut self, id: u64) {
        if let Some(command) = self.commands.iter_mut().find(|command| command.id == id) {
            command.is_alone = true;
        }
    }

    /// Forgets clients that have gone, whenever that was found out.
    pub(super) fn drop_gone_clients(&mut self) {
        for id in take_gone(&mut self.clients) {
            self.command_left_alone(id);
        }
    }

    /// Deals with the rest of what commands have said, at the container's end.
    pub(super) fn end_commands(&mut self) {
        while let Some(command) = self.commands.first_mut() {
            let id = command.id;
            let is_untold = command.maker_pid().is_some();
            while let Maker::Helper { sync, .. } = &command.maker {
                // What has been said says how it went; nobody says more in a container that has ended.
                if !sync.wait(LAST_WORDS).unwrap_or(false) {
                    let ended = Failure::new(step::EXECUTE, "the container has ended");
                    drop(command.give_up(ended));
                } else if command.follow() {
                    continue;
                }
                break;
            }
            if command.maker_pid().is_some() {
                let ended = Failure::new(step::EXTERNAL, "the container has ended");
                // What it has made ends with the container.
                drop(command.give_up(ended));
            }
            if is_untold {
                self.command_started(0);
            }
            // Whatever ran in the container was killed with it.
            self.tell_end(id, 128 + libc::SIGKILL);
        }
    }
}

impl Client {
    /// Returns whether this client has asked for the command.
    fn commands(&self, id: u64) -> bool {
        matches!(self.state, State::Commanding { id: own, .. } if own == id)
    }
}

/// Removes the clients that have gone, and returns the commands that some of them had asked for.
fn take_gone(clients: &mut Vec<Client>) -> Vec<u64> {
    let gone = clients.extract_if(.., |client| client.is_gone);
    gone.filter_map(|client| match client.state {
        State::Commanding { id, .. } => Some(id),
        _ => None,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_client_that_goes_while_it_is_told_of_the_start_leaves_its_command_alone() {
        let mut ends = Vec::new();
        let mut clients: Vec<Client> = (1..4)
            .map(|id| {
                let (ours, theirs) = UnixStream::pair().unwrap();
                ends.push(theirs);
                let mut client = Client::new(ours).unwrap();
                client.state = State::Commanding { id, reads: true };
                client
            })
            .collect();
        drop(ends.remove(1));
        let reply = Reply::ExecStarted {
            pid: 7,
            warnings: Vec::new(),
            streams: Vec::new(),
        };
        for client in &mut clients {
            client.reply_with(&reply, &[]);
        }
        assert_eq!(take_gone(&mut clients), [2]);
        assert!(clients.iter().all(|client| !client.is_gone));
        assert_eq!(clients.len(), 2);
    }
}
