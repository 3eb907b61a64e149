//! The container's standard streams: pipes, or a terminal.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

use berth_agent_sys::terminal::{open_peer, set_size};
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::failure::{AtStep as _, Failure, step};
use crate::init::Stdio;
use crate::log::{Stream, Writer};
use crate::request::TerminalSize;

/// How much output is read at once; as much as a pipe holds.
const CHUNK: usize = 64 * 1024;

/// Which streams a container gets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) terminal: bool,
    pub(super) stdin: bool,
    pub(super) once: bool,
}

/// How long a container waits for a full disk to take its output.
const FULL_DISK_PATIENCE: Duration = Duration::from_secs(3);

/// Output that could not be written.
#[derive(Debug)]
struct Stalled {
    stream: Stream,
    time: SystemTime,
    data: Vec<u8>,
    since: Instant,
}

/// The supervisor's ends.
#[derive(Debug)]
pub(super) struct Streams {
    plan: Plan,
    outputs: Vec<(Stream, File)>,
    stdin: Option<File>,
    /// Input that the container does not take yet.
    waiting_input: Vec<u8>,
    close_after_input: bool,
    /// The container's side of the terminal. It stays open here, so that the terminal does not hang up while the
    /// container has closed it for a moment.
    peer: Option<OwnedFd>,
    /// Output that the log does not take, because the disk is full.
    stalled: Option<Stalled>,
    /// Whether the disk has been full for so long that the container does not wait for it any more.
    is_giving_up: bool,
    buffer: Vec<u8>,
}

impl Streams {
    /// Makes pipes and returns the container's ends, none for a terminal, which is opened in the container.
    pub(super) fn open(plan: Plan) -> Result<(Self, Option<Stdio>), Failure> {
        let mut streams = Self {
            plan,
            outputs: Vec::new(),
            stdin: None,
            waiting_input: Vec::new(),
            close_after_input: false,
            peer: None,
            stalled: None,
            is_giving_up: false,
            buffer: Vec::new(),
        };
        if plan.terminal {
            return Ok((streams, None));
        }
        let stdio = streams.make_pipes().at(step::STREAMS, || "pipes")?;
        Ok((streams, Some(stdio)))
    }

    fn make_pipes(&mut self) -> io::Result<Stdio> {
        let (out_reader, stdout) = io::pipe()?;
        let (err_reader, stderr) = io::pipe()?;
        self.outputs = vec![
            (Stream::Stdout, nonblocking(out_reader.into())?),
            (Stream::Stderr, nonblocking(err_reader.into())?),
        ];
        let stdin = if self.plan.stdin {
            let (stdin, writer) = io::pipe()?;
            self.stdin = Some(nonblocking(writer.into())?);
            stdin.into()
        } else {
            File::open("/dev/null")?.into()
        };
        Ok(Stdio::Files {
            stdin,
            stdout: stdout.into(),
            stderr: stderr.into(),
        })
    }

    /// Takes the master of the terminal that was opened in the container.
    pub(super) fn take_terminal(&mut self, master: OwnedFd) -> io::Result<()> {
        self.peer = Some(open_peer(&master)?);
        let master = nonblocking(master)?;
        if self.plan.stdin {
            self.stdin = Some(master.try_clone()?);
        }
        self.outputs = vec![(Stream::Stdout, master)];
        Ok(())
    }

    /// Returns what to wait for on the output side; nothing while the log takes nothing.
    pub(super) fn readable(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        let outputs = if self.stalled.is_some() {
            &[][..]
        } else {
            &self.outputs[..]
        };
        outputs
            .iter()
            .enumerate()
            .map(|(index, (_, file))| (index, file.as_fd()))
    }

    /// Returns where to wait for room, if there is input that was not taken yet.
    pub(super) fn writable(&self) -> Option<BorrowedFd<'_>> {
        self.stdin
            .as_ref()
            .filter(|_| !self.waiting_input.is_empty())
            .map(|stdin| stdin.as_fd())
    }

    /// Returns whether more input may be handed over now.
    pub(super) fn takes_input(&self) -> bool {
        self.waiting_input.is_empty()
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    /// Moves one piece of output to the log. Returns whether there was any.
    ///
    /// If the log does not take it, the piece is kept and no more is read: the container waits, and nothing is lost.
    /// When that has taken too long, output is given up until there is room.
    pub(super) fn pump(&mut self, index: usize, log: &mut Writer) -> bool {
        if self.buffer.is_empty() {
            self.buffer = vec![0; CHUNK];
        }
        let Some((stream, file)) = self.outputs.get_mut(index) else {
            return false;
        };
        let (stream, time) = (*stream, SystemTime::now());
        match file.read(&mut self.buffer) {
            Ok(length) if length > 0 => {
                let data = self.buffer.get(..length).unwrap_or_default();
                match log.append(stream, time, data) {
                    Ok(()) => self.is_giving_up = false,
                    Err(_) if self.is_giving_up => log.give_up(length as u64),
                    Err(_) => {
                        self.stalled = Some(Stalled {
                            stream,
                            time,
                            data: data.to_vec(),
                            since: Instant::now(),
                        });
                    }
                }
                true
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => false,
            // The end, which for a terminal is an error.
            _ => {
                self.outputs.remove(index);
                false
            }
        }
    }

    /// Tries again to get stalled output into the log.
    pub(super) fn retry(&mut self, log: &mut Writer) -> bool {
        let Some(Stalled {
            stream,
            time,
            data,
            since,
        }) = &self.stalled
        else {
            return true;
        };
        if log.append(*stream, *time, data).is_err() {
            if since.elapsed() < FULL_DISK_PATIENCE {
                return false;
            }
            log.give_up(data.len() as u64);
            self.is_giving_up = true;
        }
        self.stalled = None;
        true
    }

    /// Moves all output that was written before the container ended.
    pub(super) fn drain(&mut self, log: &mut Writer) {
        while self.stalled.is_none() && !self.outputs.is_empty() {
            let count = self.outputs.len();
            let moved = (0..count)
                .rev()
                .filter(|index| self.stalled.is_none() && self.pump(*index, log))
                .count();
            if moved == 0 && self.outputs.len() == count {
                break;
            }
        }
    }

    /// Gives up on stalled output and on what is still in the pipes behind it; returns how many bytes are lost.
    pub(super) fn give_up(&mut self) -> u64 {
        let mut lost = self
            .stalled
            .take()
            .map_or(0, |stalled| stalled.data.len() as u64);
        for (_, file) in &mut self.outputs {
            while let Ok(length) = file.read(&mut self.buffer) {
                if length == 0 {
                    break;
                }
                lost += length as u64;
            }
        }
        lost
    }

    /// Hands input to the container; what it does not take now is kept.
    pub(super) fn feed(&mut self, data: &[u8]) {
        if self.stdin.is_some() {
            self.waiting_input.extend_from_slice(data);
            self.flush_input();
        }
    }

    /// Hands over what was kept.
    pub(super) fn flush_input(&mut self) {
        while let Some(stdin) = self
            .stdin
            .as_mut()
            .filter(|_| !self.waiting_input.is_empty())
        {
            match stdin.write(&self.waiting_input) {
                Ok(written) => drop(self.waiting_input.drain(..written)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    // The container has closed its end.
                    self.stdin = None;
                }
            }
        }
        self.waiting_input = Vec::new();
        if self.close_after_input {
            self.stdin = None;
        }
    }

    /// Tells that a client that was attached to the input has closed its side.
    pub(super) fn client_input_ended(&mut self) {
        if self.plan.once && !self.plan.terminal {
            self.close_after_input = true;
            self.flush_input();
        }
    }

    pub(super) fn resize(&self, size: TerminalSize) -> io::Result<()> {
        match (&self.peer, self.outputs.first()) {
            (Some(_), Some((_, master))) => set_size(master, size.rows, size.cols),
            _ => Err(io::Error::other("the container has no terminal")),
        }
    }
}

fn nonblocking(fd: OwnedFd) -> io::Result<File> {
    let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
    fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(File::from(fd))
}
