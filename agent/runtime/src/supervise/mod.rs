//! The supervisor: one small process for each container, which outlives the agent.
//!
//! It makes the container, holds its streams, appends its output to the log, serves clients over a unix socket, and
//! writes down how the container ended. One thread waits for all of it with `poll`. To stay small it keeps no copy of
//! output: an attached client is an offset into the log, from which the kernel sends directly.

mod bundle;
mod clients;
mod commands;
mod events;
mod external;
mod finish;
mod launch;
mod patience;
mod requests;
mod shutdown;
mod streams;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use berth_agent_sys::process::close_on_start;
use nix::sys::prctl::{set_child_subreaper, set_dumpable, set_name};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{chdir, dup2_stdin, dup2_stdout, setsid};

use self::events::Supervisor;
use self::shutdown::Shutdown;
use crate::failure::{AtStep as _, Failure, step};
use crate::protocol::{Frames, Reply, StartMessage, frame};

/// Why no container runs.
enum NotStarted {
    Failed(Failure),
    /// Another supervisor has this container.
    Busy,
}

impl From<Failure> for NotStarted {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Runs the supervisor of one container until that container has ended: the body of `berthd supervise`.
///
/// Must be called before the process starts any thread; the request arrives on standard input, which is a socket.
/// `--shutdown-grace=MILLISECONDS` is the only argument: how long a container may take to end when the machine shuts
/// down; those of a newer agent are ignored.
pub fn supervise_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match supervise(Shutdown::new(shutdown::grace(arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn supervise(shutdown: Shutdown) -> io::Result<()> {
    // What the agent was given by whoever started it is nothing to hold on to.
    close_on_start(3)?;
    // Nobody in the container may look into this process, or into its children before they are the container's.
    set_dumpable(false)?;
    // Fails when the agent has made this process a session's leader already.
    let _is_leader = setsid();
    // The directory that the agent was started in must not stay in use. The agent leaves this to its child, since it
    // starts children faster when there is nothing to do between fork and execve.
    chdir("/")?;
    set_name(c"berth-supervise")?;
    let signals = block_signals()?;
    let mut agent = take_control_socket()?;
    let claim = take_claim()?;
    let (message, seccomp) = read_order(&mut agent)?;
    leave_traces_of_panics(&message.bundle_dir);
    set_child_subreaper(true)?;
    match launch::launch(message, &seccomp) {
        Ok(launched) => {
            // From here on the lock of the log and the socket tell that there is a supervisor.
            drop((seccomp, claim));
            berth_agent_sys::memory::release_free_memory();
            Supervisor::new(launched, signals, agent, shutdown)?.run()
        }
        Err(NotStarted::Busy) => agent.write_all(&frame(&Reply::Busy, b"")?),
        Err(NotStarted::Failed(failure)) => agent.write_all(&frame(&Reply::Failed(failure), b"")?),
    }
}

/// Arranges for the ends of children and of the machine to be read, and for nothing else to interrupt.
fn block_signals() -> io::Result<SignalFd> {
    let mut watched = SigSet::empty();
    watched.add(Signal::SIGCHLD);
    watched.add(Signal::SIGTERM);
    let mut blocked = watched;
    // A supervisor that left before its container would only take the record of the end with it.
    for signal in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        blocked.add(signal);
    }
    blocked.thread_block()?;
    Ok(SignalFd::with_flags(
        &watched,
        SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
    )?)
}

/// Moves the socket to the agent away from standard input, which children inherit.
fn take_control_socket() -> io::Result<UnixStream> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    dup2_stdin(File::open("/dev/null")?)?;
    Ok(UnixStream::from(socket))
}

/// Moves the agent's claim on the bundle away from standard output. As long as it is open, whoever looks for this
/// container knows that it is being started.
fn take_claim() -> io::Result<OwnedFd> {
    let claim = io::stdout().as_fd().try_clone_to_owned()?;
    dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    Ok(claim)
}

fn read_order(agent: &mut UnixStream) -> io::Result<(StartMessage, Vec<u8>)> {
    let mut frames = Frames::default();
    let mut buffer = [0; 16 * 1024];
    loop {
        let received = agent.read(&mut buffer)?;
        if received == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        frames.push(buffer.get(..received).unwrap_or_default());
        if let Some(order) = frames.take()? {
            return Ok(order);
        }
    }
}

/// A supervisor has nowhere to print to; what a panic says goes to a file of the bundle.
fn leave_traces_of_panics(bundle_dir: &Path) {
    let path = bundle_dir.join("supervisor-panic.txt");
    std::panic::set_hook(Box::new(move |panic| {
        // There is nobody to tell about a failure here.
        drop(std::fs::write(&path, panic.to_string()));
    }));
}

/// Names the run directory of a message in failures.
fn make_run_dir(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.at(step::BUNDLE, || path.display().to_string())
}
