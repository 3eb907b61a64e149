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
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, dup2_stdin, dup2_stdout, setsid};

use crate::cgroups::{ControlGroups, Part};
use crate::console::Console;
use crate::failure::{Doing as _, chain};
use crate::foreign::{self, Order};
use crate::messages::{Message, Receiver};
use crate::plan::BootPlan;
use crate::{init, wiring};

/// The first argument of a monitor; the second one is the machine's directory.
pub(crate) const ARGUMENT: &str = "__berth-sandbox-monitor";

/// A machine that is up.
#[derive(Debug)]
struct Running {
    init: Child,
    /// The console, where the init is not ours.
    console: Option<Console>,
}

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
    while supervise(&mut machine, &signals)? == End::Restart {
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
        .and_then(|()| SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC))
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
fn boot(plan: &BootPlan) -> Result<Running, DriverError> {
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
    booted.map(|console| Running {
        init: child,
        console,
    })
}

fn accompany(
    plan: &BootPlan,
    process: u32,
    input: std::process::ChildStdin,
    output: &mut Receiver<std::process::ChildStdout>,
) -> Result<Option<Console>, DriverError> {
    let doing = || "cannot speak with the init".to_owned();
    expect(output, &Message::Unplugged)?;
    wiring::connect(plan, process)
        .doing(|| format!("cannot connect machine {} to the bridge", plan.name))?;
    Message::Plugged.send(&input).doing(doing)?;
    if plan.init.is_none() {
        return expect(output, &Message::Ready).map(|()| None);
    }
    expect(output, &Message::ConsoleWanted)?;
    let mut console = Console::open(process).doing(|| "cannot make a console".to_owned())?;
    Message::Console(console.number())
        .send(&input)
        .doing(doing)?;
    expect(output, &Message::HandedOver)?;
    match output.receive().doing(doing)? {
        None => foreign::wait_until_reachable(process, &mut console).map(|()| Some(console)),
        Some(Message::Failed(why)) => Err(DriverError::failed("the machine did not come up", why)),
        Some(_) => Err(DriverError::refused("the init goes on after its end")),
    }
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

/// Passes orders on to the init until it ends.
fn supervise(machine: &mut Running, signals: &SignalFd) -> Result<End, DriverError> {
    loop {
        match waitpid(machine.number(), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) if code == i32::from(init::EXIT_RESTART) => {
                return Ok(End::Restart);
            }
            // By this the kernel says that somebody inside has called for a restart.
            Ok(WaitStatus::Signaled(_, Signal::SIGHUP, _)) => return Ok(End::Restart),
            Ok(WaitStatus::StillAlive | WaitStatus::Stopped(..) | WaitStatus::Continued(_)) => {}
            Ok(_) | Err(Errno::ECHILD) => return Ok(End::Off),
            Err(errno) => {
                return Err(errno).doing(|| "cannot wait for the init".to_owned());
            }
        }
        if let Some(console) = &mut machine.console {
            console.copy();
        }
        match signals.read_signal() {
            Ok(Some(signal)) => machine.pass_on(signal.ssi_signo),
            Ok(None) | Err(Errno::EINTR) => machine.wait_for_news(signals)?,
            Err(errno) => return Err(errno).doing(|| "cannot read signals".to_owned()),
        }
    }
}

impl Running {
    fn number(&self) -> Pid {
        Pid::from_raw(self.init.id().cast_signed())
    }

    /// Passes on what a signal to the monitor means.
    fn pass_on(&self, number: u32) {
        let (signal, order) = if number == Signal::SIGTERM as u32 {
            (Signal::SIGTERM, Order::Off)
        } else if number == Signal::SIGINT as u32 {
            (Signal::SIGINT, Order::Restart)
        } else {
            return;
        };
        if self.console.is_none() {
            // It may have ended in this moment, which the next turn finds out.
            let _ended = kill(self.number(), signal);
        } else if let Err(error) = foreign::tell(self.init.id(), order) {
            // Whoever wants it off turns it off in the end.
            tracing::warn!(error = chain(&error), ?order, "the init does not listen");
        }
    }

    /// Waits until a signal has come, or something was printed on the console.
    fn wait_for_news(&self, signals: &SignalFd) -> Result<(), DriverError> {
        let mut waited = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if let Some(console) = &self.console {
            waited.push(PollFd::new(console.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut waited, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno).doing(|| "cannot wait for events".to_owned()),
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
