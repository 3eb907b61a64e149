//! What clients ask for, and the answers.

use berth_agent_sys::process::send_signal;
use nix::poll::PollFlags;

use super::clients::{Received, State};
use super::events::Supervisor;
use crate::protocol::{Reply, Request};
use crate::request::AttachFrom;

impl Supervisor {
    /// Deals with what happened on a client's connection.
    pub(super) fn serve(&mut self, index: usize, flags: PollFlags) {
        let Some(client) = self.clients.get_mut(index) else {
            return;
        };
        if flags.contains(PollFlags::POLLOUT) {
            client.has_room();
        }
        if flags.contains(PollFlags::POLLIN) {
            match client.receive() {
                Received::Data(data) => self.take_data(index, &data),
                Received::End => self.input_ended(index),
                Received::Nothing => {}
            }
        } else if flags.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL) {
            self.input_ended(index);
            if let Some(client) = self.clients.get_mut(index) {
                client.is_gone = true;
            }
        }
        if let Some(State::Commanding { id, .. }) = self
            .clients
            .get(index)
            .filter(|c| c.is_gone)
            .map(|c| &c.state)
        {
            let id = *id;
            self.command_left_alone(id);
        }
    }

    /// The client sends nothing more; it may still read.
    fn input_ended(&mut self, index: usize) {
        let Some(client) = self.clients.get_mut(index) else {
            return;
        };
        match &mut client.state {
            State::Attached {
                has_input: has_input @ true,
                ..
            } => {
                *has_input = false;
                self.container.streams.client_input_ended();
            }
            State::Commanding { id, reads } => {
                *reads = false;
                let id = *id;
                self.command_left_alone(id);
            }
            State::Asking(_) => client.is_gone = true,
            State::Attached { .. } | State::Watching | State::Answered => {}
        }
    }

    fn take_data(&mut self, index: usize, data: &[u8]) {
        let Some(client) = self.clients.get_mut(index) else {
            return;
        };
        match &mut client.state {
            State::Attached {
                has_input: true, ..
            } => self.container.streams.feed(data),
            State::Asking(frames) => {
                frames.push(data);
                match frames.take::<Request>() {
                    Ok(Some((request, bytes))) => {
                        let rest = std::mem::take(frames).into_rest();
                        self.answer(index, request, &bytes);
                        if !rest.is_empty() {
                            self.take_data(index, &rest);
                        }
                    }
                    Ok(None) => {}
                    Err(e) => {
                        client.state = State::Answered;
                        client.reply(&Reply::Refused(format!("reading request: {e}")));
                    }
                }
            }
            _ => {}
        }
    }

    fn answer(&mut self, index: usize, request: Request, bytes: &[u8]) {
        let (state, reply) = match request {
            Request::Watch => (State::Watching, self.started()),
            Request::Attach(options) => {
                let offset = self.attach_offset(options.from);
                let state = State::Attached {
                    offset,
                    held: None,
                    has_input: options.stdin,
                    is_full: false,
                };
                (state, Reply::Attached { offset })
            }
            Request::Exec(message) => return self.start_command(index, &message, bytes),
            Request::Signal { number } => (State::Answered, self.signal(number)),
            Request::SignalExec { pid, number } => {
                (State::Answered, self.signal_command(pid, number))
            }
            Request::Resize(size) => (
                State::Answered,
                done(
                    self.container
                        .streams
                        .resize(size)
                        .map_err(|e| e.to_string()),
                ),
            ),
            Request::Freeze { frozen } => (State::Answered, self.freeze(frozen)),
        };
        if let Some(client) = self.clients.get_mut(index) {
            client.state = state;
            client.reply(&reply);
        }
    }

    fn attach_offset(&self, from: AttachFrom) -> u64 {
        match from {
            AttachFrom::Now => self.container.bundle.log.end(),
            AttachFrom::Start => self.container.bundle.log_start,
            AttachFrom::Beginning => self.container.bundle.log.beginning(),
        }
    }

    /// The first process is a child that has not been reaped, so its number is nobody else's.
    fn signal(&mut self, number: i32) -> Reply {
        let sent = send_signal(self.container.pid, number);
        if number == libc::SIGKILL {
            self.thaw();
        }
        done(sent.map_err(|e| format!("signal {number}: {e}")))
    }

    /// A paused container takes no notice of signals in version 1.
    pub(super) fn thaw(&mut self) {
        // A machine without freezer pauses none.
        drop(self.container.cgroup.freeze(false));
        self.is_paused = false;
    }

    fn freeze(&mut self, frozen: bool) -> Reply {
        let result = self.container.cgroup.freeze(frozen);
        if result.is_ok() {
            self.is_paused = frozen;
        }
        done(result.map_err(|e| format!("{e}: {}", e.io_error())))
    }

    fn signal_command(&self, pid: i32, number: i32) -> Reply {
        if self
            .commands
            .iter()
            .any(|command| command.is_running_as(pid))
        {
            done(send_signal(pid, number).map_err(|e| format!("signal {number}: {e}")))
        } else {
            Reply::Refused(format!("no command with process id {pid}"))
        }
    }
}

fn done(result: Result<(), String>) -> Reply {
    result.map_or_else(Reply::Refused, |()| Reply::Done)
}
