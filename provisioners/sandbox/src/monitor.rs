//! The process that stands where a hypervisor would: outside the machine, one for each.
//!
//! It boots the machine, boots it again when the machine restarts itself, and takes away what the
//! machine leaves behind when it goes off. When the monitor dies, the kernel kills the machine.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use berth_provisioners_api::DriverError;
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, dup2_stdin, dup2_stdout, setsid};

use crate::cgroups::{ControlGroups, Part};
use crate::failure::{Doing as _, chain};
use crate::messages::{Message, Receiver};
use crate::plan::BootPlan;
use crate::{init, wiring};

/// The first argument of a monitor; the second one is the machine's directory.
pub(crate) const ARGUMENT: &str = "__berth-sandbox-monitor";

/// How a machine went off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Off,
    Restart,
}

/// Runs the monitor of the machine in `directory`, with whoever started it listening at its output.
pub(crate) fn main(directory: &Path) -> ExitCode {
    match run(directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever started this may be gone; the console, where errors go, stays.
            let _gone = Message::failure(&error).send(io::stdout());
            let _gone = Message::failure(&error).send(io::stderr());
            ExitCode::FAILURE
        }
    }
}

fn run(directory: &Path) -> Result<(), DriverError> {
    setsid().doing(|| "cannot leave the session".to_owned())?;
    umask(Mode::from_bits_truncate(0o022));
    std::env::set_current_dir("/").doing(|| "cannot go to /".to_owned())?;
    let plan = BootPlan::read(directory)?;
    let groups = ControlGroups::of(&plan.id)?;
    groups.enter(Part::Monitor)?;
    await_permission()?;
    let signals = watched_signals()?;
    let mut machine = boot(&plan)?;
    // Whoever started this may be gone; the machine is up all the same.
    let _gone = Message::Ready.send(io::stdout());
    close_input_and_output()?;
    while supervise(&machine, &signals)? == End::Restart {
        clear(&plan, &groups)?;
        machine = boot(&plan)?;
    }
    clear(&plan, &groups)
}

/// Waits for the word of whoever started this, who holds the machine's lock.
///
/// Were that process killed before the monitor is in its control groups, somebody else could look
/// for the machine's processes there, find none, and remove the machine under the monitor.
fn await_permission() -> Result<(), DriverError> {
    Message::Found
        .send(io::stdout())
        .doing(|| "cannot answer whoever started the machine".to_owned())?;
    match Receiver::new(io::stdin()).receive() {
        Ok(Some(Message::Go)) => Ok(()),
        Ok(_) => Err(DriverError::refused("whoever started the machine has gone")),
        Err(error) => Err(error).doing(|| "cannot hear who started the machine".to_owned()),
    }
}

/// Returns a file to read the signals from that the monitor cares about.
fn watched_signals() -> Result<SignalFd, DriverError> {
    let mut set = SigSet::empty();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGCHLD,
        Signal::SIGHUP,
    ] {
        set.add(signal);
    }
    set.thread_block()
        .and_then(|()| SignalFd::new(&set))
        .doing(|| "cannot watch signals".to_owned())
}

fn close_input_and_output() -> Result<(), DriverError> {
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .and_then(|null| Ok(dup2_stdin(&null).and_then(|()| dup2_stdout(&null))?))
        .doing(|| "cannot close input and output".to_owned())
}

/// Starts the init, plugs in the cable, and waits until the machine is up.
fn boot(plan: &BootPlan) -> Result<Child, DriverError> {
    new_process_namespace().doing(|| "cannot make a process namespace".to_owned())?;
    let doing = || "cannot start the init".to_owned();
    let mut child = Command::new("/proc/self/exe")
        .arg0(format!("berth-sandbox-init: {}", plan.name))
        .arg(init::ARGUMENT)
        .arg(&plan.directory)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .doing(doing)?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(DriverError::refused(doing()));
    };
    let booted = accompany(plan, child.id(), input, &mut Receiver::new(output));
    if booted.is_err() {
        // It may have ended by itself.
        let _ended = child.kill();
        let _ended = child.wait();
    }
    booted.map(|()| child)
}

fn accompany(
    plan: &BootPlan,
    process: u32,
    input: std::process::ChildStdin,
    output: &mut Receiver<std::process::ChildStdout>,
) -> Result<(), DriverError> {
    expect(output, &Message::Unplugged)?;
    wiring::connect(plan, process)
        .doing(|| format!("cannot connect machine {} to the bridge", plan.name))?;
    Message::Plugged
        .send(&input)
        .doing(|| "cannot speak with the init".to_owned())?;
    expect(output, &Message::Ready)
}

fn expect(
    output: &mut Receiver<std::process::ChildStdout>,
    expected: &Message,
) -> Result<(), DriverError> {
    match output
        .receive()
        .doing(|| "cannot hear the init".to_owned())?
    {
        Some(message) if message == *expected => Ok(()),
        Some(Message::Failed(why)) => Err(DriverError::failed("the machine did not come up", why)),
        _ => Err(DriverError::refused(
            "the init died while the machine came up",
        )),
    }
}

/// Lets the next child be process 1 of a namespace of its own.
fn new_process_namespace() -> io::Result<()> {
    // After a restart the children's namespace is that of the dead machine; only from the
    // monitor's own one can a new one be made.
    let own = std::fs::File::open("/proc/self/ns/pid")?;
    setns(own.as_fd(), CloneFlags::CLONE_NEWPID)?;
    unshare(CloneFlags::CLONE_NEWPID)?;
    Ok(())
}

/// Passes signals on to the init until it ends.
fn supervise(machine: &Child, signals: &SignalFd) -> Result<End, DriverError> {
    let init = Pid::from_raw(i32::try_from(machine.id()).unwrap_or(i32::MAX));
    loop {
        match waitpid(init, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) if code == i32::from(init::EXIT_RESTART) => {
                return Ok(End::Restart);
            }
            Ok(WaitStatus::StillAlive | WaitStatus::Stopped(..) | WaitStatus::Continued(_)) => {}
            Ok(_) | Err(Errno::ECHILD) => return Ok(End::Off),
            Err(errno) => {
                return Err(errno).doing(|| "cannot wait for the init".to_owned());
            }
        }
        let received = match signals.read_signal() {
            Ok(received) => received,
            Err(Errno::EINTR) => None,
            Err(errno) => return Err(errno).doing(|| "cannot read signals".to_owned()),
        };
        let number = received.map(|info| info.ssi_signo);
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            if number == Some(signal as u32) {
                // It may have ended in this moment, which the next turn finds out.
                let _ended = kill(init, signal);
            }
        }
    }
}

/// Takes away what the machine left on the host.
fn clear(plan: &BootPlan, groups: &ControlGroups) -> Result<(), DriverError> {
    let cable = wiring::disconnect(&plan.id.cable());
    if let Err(error) = groups.clear_machine() {
        // A restart works all the same, and a later removal tries again.
        tracing::warn!(error = chain(&error), "control groups stay");
    }
    cable
}
