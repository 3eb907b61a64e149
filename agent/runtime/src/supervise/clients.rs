//! Connections to the supervisor's socket.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;

use berth_agent_sys::descriptor;
use nix::poll::PollFlags;

use crate::log::{Found, Header, Held, Kind, Writer};
use crate::protocol::{Frames, Reply, frame};

/// How much of the log the kernel is asked to send at once.
const SEND_AT_ONCE: u64 = 1 << 20;

/// What a connection is for.
#[derive(Debug)]
pub(super) enum State {
    /// Its request has not come completely.
    Asking(Frames),
    /// It gets the exit record.
    Watching,
    /// It gets the log from this offset on.
    Attached {
        offset: u64,
        /// The complete segment that it is in, which it may read to its end.
        held: Option<Held>,
        has_input: bool,
        is_full: bool,
    },
    /// It gets the end of a further command, whose streams it reads until it closes its side.
    Commanding { id: u64, reads: bool },
    /// It has its answer.
    Answered,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Client {
    connection: UnixStream,
    pub(super) state: State,
    /// Answers that the socket had no room for.
    unsent: VecDeque<u8>,
    pub(super) is_gone: bool,
}

/// What a connection sent.
pub(super) enum Received {
    Data(Vec<u8>),
    Nothing,
    End,
}

impl Client {
    pub(super) fn new(connection: UnixStream) -> io::Result<Self> {
        connection.set_nonblocking(true)?;
        Ok(Self {
            connection,
            state: State::Asking(Frames::default()),
            unsent: VecDeque::new(),
            is_gone: false,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }

    /// Returns what to wait for; that the peer has gone is always told.
    pub(super) fn interest(&self, takes_input: bool) -> PollFlags {
        let reads = match self.state {
            State::Asking(_) => true,
            State::Attached { has_input, .. } => has_input && takes_input,
            State::Commanding { reads, .. } => reads,
            State::Watching | State::Answered => false,
        };
        let is_full = matches!(self.state, State::Attached { is_full: true, .. });
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, reads);
        flags.set(PollFlags::POLLOUT, is_full || !self.unsent.is_empty());
        flags
    }

    /// Reads what has come.
    pub(super) fn receive(&mut self) -> Received {
        let mut buffer = [0; 16 * 1024];
        match self.connection.read(&mut buffer) {
            Ok(0) => Received::End,
            Ok(length) => Received::Data(buffer.get(..length).unwrap_or_default().to_vec()),
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Received::Nothing
            }
            Err(_) => {
                self.is_gone = true;
                Received::End
            }
        }
    }

    /// Sends an answer, now or when there is room.
    pub(super) fn reply(&mut self, reply: &Reply) {
        match frame(reply, b"") {
            Ok(bytes) => {
                self.unsent.extend(bytes);
                self.flush();
            }
            Err(_) => self.is_gone = true,
        }
    }

    /// Sends an answer with descriptors. The socket is empty then, so it has room.
    pub(super) fn reply_with(&mut self, reply: &Reply, descriptors: &[BorrowedFd<'_>]) {
        if descriptors.is_empty() || !self.unsent.is_empty() {
            return self.reply(reply);
        }
        let Ok(bytes) = frame(reply, b"") else {
            self.is_gone = true;
            return;
        };
        match descriptor::send(&self.connection, &bytes, descriptors) {
            Ok(sent) => {
                self.unsent.extend(bytes.get(sent..).unwrap_or_default());
                self.flush();
            }
            Err(_) => self.is_gone = true,
        }
    }

    /// Sends answers that had no room.
    pub(super) fn flush(&mut self) {
        while !self.unsent.is_empty() {
            match self.connection.write(self.unsent.as_slices().0) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.is_gone = true;
                    return;
                }
            }
        }
        if matches!(self.state, State::Answered) {
            self.is_gone = true;
        }
    }

    /// Sends log until the client has all of it or its socket is full.
    pub(super) fn send_output(&mut self, log: &Writer) {
        self.hold(log);
        // The answer goes before the records.
        while self.unsent.is_empty() {
            let State::Attached {
                offset,
                held,
                is_full,
                ..
            } = &mut self.state
            else {
                return;
            };
            if *offset >= log.end() || *is_full {
                return;
            }
            let (file, position, end) = match &held {
                Some(held) => match held.position_of(*offset) {
                    Some(position) => (&held.file, position, held.end),
                    None => (log.file(), log.position_of(*offset), log.end()),
                },
                None => (log.file(), log.position_of(*offset), log.end()),
            };
            let count = (end - *offset).min(SEND_AT_ONCE);
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            match descriptor::send_file(&self.connection, file, position, count) {
                Ok(0) => return,
                Ok(sent) => *offset += sent as u64,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => *is_full = true,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.is_gone = true;
                    return;
                }
            }
            self.hold(log);
        }
    }

    /// Gets hold of the segment that the client is in, before anybody removes it. What is not there any more is skipped,
    /// and the client is told: segments end where records do.
    fn hold(&mut self, log: &Writer) {
        let State::Attached { offset, held, .. } = &mut self.state else {
            return;
        };
        if held
            .as_ref()
            .is_some_and(|held| held.position_of(*offset).is_some())
        {
            return;
        }
        *held = None;
        match log.find(*offset) {
            Ok(Found::Written) => {}
            Ok(Found::Complete(segment)) => *held = Some(segment),
            Ok(Found::Gone { next }) => {
                let skipped = Header {
                    length: 0,
                    padding: 0,
                    kind: Kind::Skipped(next - *offset),
                };
                *offset = next;
                self.unsent.extend(skipped.encode());
                self.flush();
                self.hold(log);
            }
            Err(_) => self.is_gone = true,
        }
    }

    /// Returns from where on an attached client needs the log.
    pub(super) fn needs(&self) -> Option<u64> {
        match self.state {
            State::Attached { offset, .. } => Some(offset),
            _ => None,
        }
    }

    /// Notes that the socket has room again.
    pub(super) fn has_room(&mut self) {
        if let State::Attached { is_full, .. } = &mut self.state {
            *is_full = false;
        }
        self.flush();
    }

    /// Returns whether the client still waits for something after the container's end.
    pub(super) fn is_waiting(&self, log: &Writer) -> bool {
        let lacks_output =
            matches!(self.state, State::Attached { offset, .. } if offset < log.end());
        !self.is_gone && (lacks_output || !self.unsent.is_empty())
    }

    /// Lets the client see the end of the output.
    pub(super) fn close(&self) {
        // It may be gone already.
        drop(self.connection.shutdown(Shutdown::Write));
    }
}
