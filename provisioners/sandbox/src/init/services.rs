//! What runs in a machine from the start: sshd, and `/etc/rc.local` if there is one.

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use berth_provisioners_api::DriverError;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::fs::inotify;

use crate::failure::Doing as _;
use crate::init::power::Wish;

const SSHD: &str = "/usr/sbin/sshd";
const RC_LOCAL: &str = "/etc/rc.local";
/// Where sshd writes its number as soon as it listens.
const SSHD_IS_UP: &str = "/run/sshd.pid";
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// sshd reads its keys and listens; a machine in which that takes longer is broken.
const PATIENCE: Duration = Duration::from_secs(20);
/// An sshd that ends at once is not started again more often than this.
const RESPAWN: Duration = Duration::from_secs(1);

/// The running services.
#[derive(Debug)]
pub(super) struct Services {
    sshd: Option<Pid>,
    started: Instant,
}

impl Services {
    /// Starts them.
    pub(super) fn start() -> Result<Self, DriverError> {
        let services = Self {
            sshd: Some(start_sshd()?),
            started: Instant::now(),
        };
        run_rc_local()?;
        Ok(services)
    }

    /// Waits until sshd listens.
    pub(super) fn wait_until_reachable(&mut self, signals: &SignalFd) -> Result<(), DriverError> {
        let doing = || "cannot watch sshd".to_owned();
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let events = inotify::init(flags).doing(doing)?;
        let kinds = inotify::WatchFlags::CREATE | inotify::WatchFlags::CLOSE_WRITE;
        inotify::add_watch(&events, "/run", kinds).doing(doing)?;
        let mut buffer = [0; 4096];
        while !Path::new(SSHD_IS_UP).exists() {
            let left = (self.started + PATIENCE).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(DriverError::refused("sshd does not listen"));
            }
            let mut waited = [
                PollFd::new(events.as_fd(), PollFlags::POLLIN),
                PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            ];
            wait(&mut waited, Some(left))?;
            // What happened does not matter, only that something did.
            let _nothing = rustix::io::read(&events, &mut buffer);
            drain(signals)?;
            self.reap();
            if self.sshd.is_none() {
                return Err(DriverError::refused("sshd ended at once"));
            }
        }
        Ok(())
    }

    /// Reaps, and starts sshd again when it ends, until somebody has a wish.
    pub(super) fn keep(&mut self, signals: &SignalFd) -> Result<Wish, DriverError> {
        loop {
            self.reap();
            let mut timeout = None;
            if self.sshd.is_none() {
                let due = self.started + RESPAWN;
                timeout = Some(due.saturating_duration_since(Instant::now()));
                if timeout == Some(Duration::ZERO) {
                    self.started = Instant::now();
                    // Somebody may have removed the program; it may come back.
                    self.sshd = start_sshd().ok();
                    timeout = self.sshd.is_none().then_some(RESPAWN);
                }
            }
            wait(
                &mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)],
                timeout,
            )?;
            if let Some(wish) = drain(signals)? {
                return Ok(wish);
            }
        }
    }

    fn reap(&mut self) {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(ended, _) | WaitStatus::Signaled(ended, ..)) => {
                    if self.sshd == Some(ended) {
                        self.sshd = None;
                    }
                }
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}

fn wait(files: &mut [PollFd<'_>], at_most: Option<Duration>) -> Result<(), DriverError> {
    let timeout = at_most.map_or(PollTimeout::NONE, |left| {
        // Rounded up, lest the loop spins through the last millisecond.
        PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
    });
    match poll(files, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno).doing(|| "cannot wait for events".to_owned()),
    }
}

/// Reads all signals that have come and returns the first wish among them.
fn drain(signals: &SignalFd) -> Result<Option<Wish>, DriverError> {
    let mut wish = None;
    while let Some(signal) = signals
        .read_signal()
        .doing(|| "cannot read signals".to_owned())?
    {
        wish = wish.or_else(|| Wish::of_signal(signal.ssi_signo));
    }
    Ok(wish)
}

fn start_sshd() -> Result<Pid, DriverError> {
    // sshd starts itself again for each connection, and wants to know itself by its full name.
    let child = command(SSHD)
        .args(["-D", "-e"])
        .spawn()
        .doing(|| format!("cannot start {SSHD}"))?;
    Ok(Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX)))
}

fn run_rc_local() -> Result<(), DriverError> {
    let executable = fs::metadata(RC_LOCAL)
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    if executable {
        // By the shell, which also takes a script without a first line.
        command("/bin/sh")
            .args(["-c", "exec /etc/rc.local"])
            .spawn()
            .doing(|| format!("cannot start {RC_LOCAL}"))?;
    }
    Ok(())
}

/// Returns a command that prints on the console.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .current_dir("/")
        .stdin(Stdio::null());
    if let Ok(console) = std::io::stderr().as_fd().try_clone_to_owned() {
        command.stdout(console);
    }
    command
}
