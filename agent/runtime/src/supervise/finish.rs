//! The container's end: the rest of its output, the record, the news to clients, and cleaning up.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::clients::State;
use super::events::Supervisor;
use crate::exit::ExitRecord;
use crate::protocol::Reply;

/// How long the end waits for a full disk to take the last output.
const FULL_DISK_GRACE: Duration = Duration::from_secs(10);

/// How long a client that takes no output holds up the end of the supervisor (nothing else waits for it).
const SLOW_CLIENT_GRACE: Duration = Duration::from_secs(60);

impl Supervisor {
    /// Ends the supervision of a container that has ended.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let Some((status, finished_at)) = self.ended() else {
            return Ok(());
        };
        if !self.container.has_own_pids {
            self.container.cgroup.kill_all();
        }
        self.reap();
        self.save_output();
        let (code, signal) = exit_code(status);
        let record = ExitRecord {
            code,
            signal,
            oom_killed: self.container.cgroup.was_out_of_memory(),
            started_at: self.container.started_at,
            finished_at,
            log_length: self.container.bundle.log.end(),
            output_lost: self.container.bundle.log.given_up(),
        };
        // If the record cannot be written, telling the agent is all that can be done.
        let saved = self.container.bundle.save_exit(&record);
        self.container.bundle.close_to_clients();
        self.end_commands();
        self.tell(&record);
        self.send_output();
        if let Some(external) = &self.container.external {
            external.delete();
        }
        self.container.cgroup.kill_all();
        // A group that stays is removed by the next start.
        drop(self.container.cgroup.delete());
        self.container.bundle.release();
        self.serve_slow_clients();
        saved
    }

    fn save_output(&mut self) {
        let deadline = Instant::now() + FULL_DISK_GRACE;
        let container = &mut self.container;
        loop {
            container.streams.drain(&mut container.bundle.log);
            if !container.streams.is_stalled() {
                return;
            }
            while !container.streams.retry(&mut container.bundle.log) {
                if Instant::now() >= deadline {
                    let lost = container.streams.give_up();
                    return container.bundle.log.give_up(lost);
                }
                sleep(Duration::from_millis(100));
            }
        }
    }

    fn tell(&mut self, record: &ExitRecord) {
        for client in &mut self.clients {
            if matches!(client.state, State::Watching) {
                client.state = State::Answered;
                client.reply(&Reply::Exited(record.clone()));
            }
        }
    }

    /// Waits for clients that have not got everything yet, as long as they take something now and then.
    fn serve_slow_clients(&mut self) {
        let mut deadline = Instant::now() + SLOW_CLIENT_GRACE;
        loop {
            let log = &self.container.bundle.log;
            for client in self.clients.iter().filter(|client| !client.is_waiting(log)) {
                client.close();
            }
            self.clients.retain(|client| client.is_waiting(log));
            let left = deadline.saturating_duration_since(Instant::now());
            if self.clients.is_empty() || left.is_zero() {
                return;
            }
            let room = PollFlags::POLLOUT;
            let fds: Vec<BorrowedFd<'_>> = self.clients.iter().map(|client| client.fd()).collect();
            let mut polled: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::new(*fd, room)).collect();
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut polled, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return,
            }
            let ready: Vec<bool> = polled.iter().map(|fd| fd.any() == Some(true)).collect();
            for (client, _) in self
                .clients
                .iter_mut()
                .zip(ready)
                .filter(|(_, ready)| *ready)
            {
                client.has_room();
                deadline = Instant::now() + SLOW_CLIENT_GRACE;
            }
            self.send_output();
        }
    }
}

/// Returns the exit code as shells count it, and the signal if there was one.
pub(super) fn exit_code(status: ExitStatus) -> (i32, Option<i32>) {
    match (status.code(), status.signal()) {
        (Some(code), _) => (code, None),
        (None, Some(signal)) => (128 + signal, Some(signal)),
        (None, None) => (255, None),
    }
}
