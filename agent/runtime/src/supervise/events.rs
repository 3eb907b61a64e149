//! The supervisor's loop: waits for whatever happens first, and lets the part that it concerns deal with it.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use berth_agent_sys::process::{fork, reap_any};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;

use super::clients::{Client, State};
use super::commands::Command;
use super::external::Errand;
use super::launch::Launched;
use super::shutdown::Shutdown;
use crate::protocol::{Reply, Started};

/// How often a full disk is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// How long after its start a container's log has to be there for clients that waited for it, when nobody keeps it.
const SETTLED: Duration = Duration::from_secs(5);

/// Everything that a supervisor has.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) container: Launched,
    pub(super) clients: Vec<Client>,
    pub(super) commands: Vec<Command>,
    /// External runtimes that were given up and have not been reaped: what they have made is not known before.
    pub(super) abandoned: Vec<Errand>,
    /// The name of the last one that was asked for.
    pub(super) last_command: u64,
    /// A command would join the others in not running, and its start would never end.
    pub(super) is_paused: bool,
    pub(super) shutdown: Shutdown,
    signals: SignalFd,
    /// How and when the first process ended.
    ended: Option<(ExitStatus, SystemTime)>,
}

/// What a descriptor that is waited for stands for.
#[derive(Clone, Copy, Debug)]
enum Source {
    Signals,
    Listener,
    Output(usize),
    Input,
    Client(usize),
    Command(usize),
    Discarded(usize, usize),
}

impl Supervisor {
    /// Takes over a started container and tells the agent.
    pub(super) fn new(
        container: Launched,
        signals: SignalFd,
        agent: UnixStream,
        shutdown: Shutdown,
    ) -> io::Result<Self> {
        let mut supervisor = Self {
            container,
            clients: Vec::new(),
            commands: Vec::new(),
            abandoned: Vec::new(),
            last_command: 0,
            is_paused: false,
            shutdown,
            signals,
            ended: None,
        };
        let mut client = Client::new(agent)?;
        client.state = State::Watching;
        client.reply(&supervisor.started());
        supervisor.clients.push(client);
        Ok(supervisor)
    }

    /// Answers with what runs here.
    pub(super) fn started(&self) -> Reply {
        let Launched {
            pid,
            started_at,
            warnings,
            bundle,
            ..
        } = &self.container;
        let (warnings, log_start) = (warnings.clone(), bundle.log_start);
        Reply::Started(Started {
            pid: *pid,
            started_at: *started_at,
            warnings,
            log_start,
            frozen: Some(self.is_paused),
        })
    }

    /// Serves until the container has ended and its clients have been served.
    pub(super) fn run(mut self) -> io::Result<()> {
        // A child that ended before the signals were watched sends none any more.
        self.reap();
        while self.ended.is_none() {
            for (source, flags) in self.wait_for(&self.interests())? {
                let n_commands = self.commands.len();
                self.handle(source, flags);
                if self.commands.len() < n_commands {
                    // A command is gone, and those after it have other places now: what was found out about them
                    // would make this wait for, or throw away, what another one says. It is found out again.
                    break;
                }
            }
            if self.container.streams.is_stalled() {
                self.container.streams.retry(&mut self.container.bundle.log);
            }
            self.look_at_commands();
            self.enforce_shutdown();
            self.send_output();
            self.drop_gone_clients();
        }
        self.finish()
    }

    fn interests(&self) -> Vec<(Source, BorrowedFd<'_>, PollFlags)> {
        let mut list = vec![
            (Source::Signals, self.signals.as_fd(), PollFlags::POLLIN),
            (
                Source::Listener,
                self.container.listener.as_fd(),
                PollFlags::POLLIN,
            ),
        ];
        let streams = &self.container.streams;
        list.extend(
            streams
                .readable()
                .map(|(index, fd)| (Source::Output(index), fd, PollFlags::POLLIN)),
        );
        list.extend(
            streams
                .writable()
                .map(|fd| (Source::Input, fd, PollFlags::POLLOUT)),
        );
        for (index, client) in self.clients.iter().enumerate() {
            list.push((
                Source::Client(index),
                client.fd(),
                client.interest(streams.takes_input()),
            ));
        }
        for (index, command) in self.commands.iter().enumerate() {
            list.extend(
                command
                    .sync()
                    .map(|fd| (Source::Command(index), fd, PollFlags::POLLIN)),
            );
            let discarded = command.discarded().enumerate();
            list.extend(
                discarded.map(|(n, fd)| (Source::Discarded(index, n), fd, PollFlags::POLLIN)),
            );
        }
        list
    }

    fn wait_for(
        &self,
        interests: &[(Source, BorrowedFd<'_>, PollFlags)],
    ) -> io::Result<Vec<(Source, PollFlags)>> {
        let mut fds: Vec<PollFd<'_>> = interests
            .iter()
            .map(|(_, fd, flags)| PollFd::new(*fd, *flags))
            .collect();
        match poll(&mut fds, self.timeout()) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
        let ready = interests
            .iter()
            .zip(&fds)
            .filter_map(|((source, _, _), fd)| Some((*source, fd.revents()?)));
        Ok(ready.filter(|(_, flags)| !flags.is_empty()).collect())
    }

    /// Returns how long at most nothing needs to be done if nothing happens.
    fn timeout(&self) -> PollTimeout {
        let is_stalled = self.container.streams.is_stalled();
        let times = self
            .commands
            .iter()
            .filter_map(Command::left)
            .chain(self.shutdown.left())
            .chain(is_stalled.then_some(RETRY));
        times.min().map_or(PollTimeout::NONE, |time| {
            // Rounded up, so that the last millisecond is not spent asking.
            let time = time.saturating_add(Duration::from_millis(1));
            PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX)
        })
    }

    fn handle(&mut self, source: Source, flags: PollFlags) {
        match source {
            Source::Signals => {
                while let Ok(Some(signal)) = self.signals.read_signal() {
                    if signal.ssi_signo == libc::SIGTERM.unsigned_abs() {
                        self.begin_shutdown();
                    }
                }
                self.reap();
            }
            Source::Listener => self.accept(),
            Source::Output(index) => drop(
                self.container
                    .streams
                    .pump(index, &mut self.container.bundle.log),
            ),
            Source::Input => self.container.streams.flush_input(),
            Source::Client(index) => self.serve(index, flags),
            Source::Command(index) => self.follow_command(index),
            Source::Discarded(index, n) => {
                if let Some(command) = self.commands.get_mut(index) {
                    command.discard(n);
                }
            }
        }
    }

    fn accept(&mut self) {
        loop {
            match self.container.listener.accept() {
                Ok((connection, _)) => self.clients.extend(Client::new(connection)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    // No descriptor is left for it: let other clients finish first.
                    sleep(Duration::from_millis(10));
                    return;
                }
            }
        }
    }

    /// Takes the exit statuses of all children that have ended.
    pub(super) fn reap(&mut self) {
        let mut ended = Vec::new();
        while let Ok(Some(end)) = reap_any() {
            ended.push(end);
        }
        // What an external runtime has started may have ended just as soon, but only the runtime tells what it is.
        ended.sort_by_key(|(pid, _)| self.command_of_runtime(*pid).is_none());
        for (pid, status) in ended {
            if pid == self.container.pid {
                self.ended = Some((status, SystemTime::now()));
            } else if let Some(index) = self.command_of_runtime(pid) {
                self.runtime_returned(index, status);
            } else if let Some(index) = self.abandoned.iter().position(|e| e.pid() == pid) {
                self.abandoned.swap_remove(index).end_what_it_made();
            } else {
                self.command_ended(pid, status);
            }
        }
    }

    /// Sends attached clients what the log has got, and removes what nobody needs any more.
    pub(super) fn send_output(&mut self) {
        let log = &mut self.container.bundle.log;
        for client in &mut self.clients {
            client.send_output(log);
        }
        let mut needed = self.clients.iter().filter_map(Client::needs).min();
        // Whoever attached before the start is about to come.
        if log.is_transient()
            && self
                .container
                .started_at
                .elapsed()
                .is_ok_and(|age| age < SETTLED)
        {
            needed = Some(self.container.bundle.log_start);
        }
        let needed = needed.unwrap_or(u64::MAX);
        log.prune(needed);
        if let Some(packing) = log.packing(needed) {
            // A segment that could not be compressed is as good as it is.
            drop(fork(&[], |_copied| packing().map_or(1, |()| 0)));
        }
    }

    pub(super) fn ended(&self) -> Option<(ExitStatus, SystemTime)> {
        self.ended
    }
}
