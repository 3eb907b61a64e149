//! `berthd watch`: keeps `berthd serve` running where no service manager does.
//!
//! It goes to the background, starts the agent again when it ends, with growing pauses while that
//! happens quickly, and passes on the signals to stop and to read certificates anew. Nothing else: containers have supervisors of
//! their own.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::signal::unix::{self, SignalKind, signal};

use crate::arguments::{ServeArguments, WatchArguments};

/// Pause before the first restart.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// Pause between restarts at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// An agent that ran so long starts a new count.
const STEADY: Duration = Duration::from_secs(30);

/// Keeps the agent running.
pub(crate) fn run(arguments: &WatchArguments) -> anyhow::Result<()> {
    if arguments.foreground {
        watch(arguments)
    } else {
        detach(arguments)
    }
}

/// Starts the same in the background, without this session and terminal.
fn detach(arguments: &WatchArguments) -> anyhow::Result<()> {
    let ready_fd = arguments.serve.ready_fd;
    // The first three lead to the log in the background.
    anyhow::ensure!(
        ready_fd.is_none_or(|fd| fd > 2),
        "--ready-fd of watch must be 3 or more"
    );
    make_parent(&arguments.log_file)?;
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&arguments.log_file)
        .with_context(|| format!("opening log {}", arguments.log_file.display()))?;
    let mut command = Command::new(executable()?);
    command
        .arg("watch")
        .arg("--foreground")
        .arg("--config")
        .arg(absolute(&arguments.serve.config)?)
        .arg("--pid-file")
        .arg(absolute(&arguments.pid_file)?)
        .arg("--log-file")
        .arg(absolute(&arguments.log_file)?)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("sharing the log")?)
        .stderr(log);
    if let Some(fd) = ready_fd {
        // The descriptor itself is inherited.
        command.arg("--ready-fd").arg(fd.to_string());
    }
    command.spawn().context("starting the watcher")?;
    Ok(())
}

fn watch(arguments: &WatchArguments) -> anyhow::Result<()> {
    // Fails in a process that leads a group already, which a terminal's hang-up does not reach then.
    let _ = nix::unistd::setsid();
    let lock = hold(&arguments.pid_file)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the watcher")?;
    let result = runtime.block_on(keep_running(&arguments.serve));
    drop(lock);
    result
}

async fn keep_running(arguments: &ServeArguments) -> anyhow::Result<()> {
    let mut stop = StopSignals::new()?;
    let mut hangup = signal(SignalKind::hangup()).context("watching for SIGHUP")?;
    let mut ready_fd = arguments.ready_fd;
    let mut pause = SHORTEST_PAUSE;
    loop {
        let began = Instant::now();
        let mut agent = start(&arguments.config, ready_fd)?;
        if let Some(fd) = ready_fd.take() {
            // The agent has its own copy; with ours open a reader would never see the end.
            let _ = nix::unistd::close(fd);
        }
        let status = loop {
            tokio::select! {
                // Cancel-safe by its documentation.
                status = agent.wait() => break status.context("waiting for the agent")?,
                wanted = stop.next() => return end(&mut agent, wanted).await,
                // Cancel-safe: signals that come together are one.
                _ = hangup.recv() => pass_hangup_on(&agent).await,
            }
        };
        complain(status);
        if began.elapsed() >= STEADY {
            pause = SHORTEST_PAUSE;
        }
        tokio::select! {
            // Cancel-safe, like any timer.
            () = tokio::time::sleep(pause) => {}
            _ = stop.next() => return Ok(()),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Passes on the signal and waits for the agent's orderly end.
async fn end(agent: &mut Child, wanted: Signal) -> anyhow::Result<()> {
    tell(agent, wanted);
    agent.wait().await.context("waiting for the agent")?;
    Ok(())
}

/// Passes SIGHUP on as soon as the agent listens to it: before that, it would end by it.
async fn pass_hangup_on(agent: &Child) {
    const LISTENS_WITHIN: Duration = Duration::from_secs(2);
    const LOOK_EVERY: Duration = Duration::from_millis(20);
    let listens = async {
        while agent.id().is_some_and(|pid| !catches_hangup(pid)) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    if tokio::time::timeout(LISTENS_WITHIN, listens).await.is_ok() {
        tell(agent, Signal::SIGHUP);
    }
}

/// Whether a process has a handler for SIGHUP, by the mask of caught signals that the kernel shows.
fn catches_hangup(pid: u32) -> bool {
    const HANGUP: u64 = 1 << (Signal::SIGHUP as u64 - 1);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|caught| caught & HANGUP != 0)
}

/// Passes a signal on.
fn tell(agent: &Child, signal: Signal) {
    if let Some(pid) = agent.id().and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended this moment.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Starts the agent, from the path where a newer one may be by now.
fn start(config: &Path, ready_fd: Option<i32>) -> anyhow::Result<Child> {
    let mut command = Command::new(executable()?);
    command.arg("serve").arg("--config").arg(config);
    if let Some(fd) = ready_fd {
        command.arg("--ready-fd").arg(fd.to_string());
    }
    tokio::process::Command::from(command)
        .spawn()
        .context("starting the agent")
}

struct StopSignals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl StopSignals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("watching for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("watching for SIGINT")?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            // Cancel-safe: a signal that comes later means the same.
            _ = self.terminate.recv() => Signal::SIGTERM,
            _ = self.interrupt.recv() => Signal::SIGINT,
        }
    }
}

/// Writes our process id and keeps a second watcher away as long as we live.
fn hold(path: &Path) -> anyhow::Result<Flock<File>> {
    make_parent(path)?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))?;
    let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, error)| error)
        .with_context(|| format!("another watcher holds {}", path.display()))?;
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut lock).with_context(|| format!("writing {}", path.display()))?;
    Ok(lock)
}

/// Returns the path as it is valid from any folder.
fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("finding {}", path.display()))
}

fn make_parent(path: &Path) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    Ok(())
}

/// Returns the path that this program was started from, also when the file was replaced since.
fn executable() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe().context("finding the own executable")?;
    let text = path.to_string_lossy();
    Ok(PathBuf::from(
        text.strip_suffix(" (deleted)").unwrap_or(&text),
    ))
}

#[expect(clippy::print_stderr, reason = "its standard error is the log")]
fn complain(status: ExitStatus) {
    eprintln!("berthd watch: the agent ended ({status}); starting it again");
}
