//! How a machine goes off: by signal, in order, then by force.

use std::time::{Duration, Instant};

use berth_provisioners_api::DriverError;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::cgroups::{Hierarchy, thaw};
use crate::failure::Doing as _;
use crate::init::kernel::place_inside;

/// What somebody wants of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To go off.
    Off,
    /// To go off and come up again.
    Restart,
}

/// How long processes may take to end by themselves: long enough to write data out, short enough
/// that a container whose first process does not listen holds up nobody.
pub(crate) const GRACE: Duration = Duration::from_secs(3);

impl Wish {
    /// Returns what a signal to the init means.
    pub(super) fn of_signal(number: u32) -> Option<Self> {
        if number == Signal::SIGTERM as u32 {
            Some(Self::Off)
        } else if number == Signal::SIGINT as u32 {
            Some(Self::Restart)
        } else {
            None
        }
    }
}

/// Returns a file to read the signals from that the init cares about; all others are blocked.
pub(super) fn watched_signals() -> Result<SignalFd, DriverError> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD] {
        set.add(signal);
    }
    set.thread_block()
        .and_then(|()| SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC))
        .doing(|| "cannot watch signals".to_owned())
}

/// Ends all processes of the machine but this one.
pub(super) fn end_everything(hierarchies: &[Hierarchy]) {
    for hierarchy in hierarchies
        .iter()
        .filter(|hierarchy| hierarchy.controls("freezer"))
    {
        // Paused containers cannot end. Where this fails, whoever stops the machine does it.
        let _still_frozen = thaw(&place_inside(hierarchy));
    }
    let everybody = Pid::from_raw(-1);
    // Nobody being left is the only error there can be. Shells end by SIGHUP, stopped processes
    // need SIGCONT to hear anything.
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCONT] {
        let _nobody = kill(everybody, signal);
    }
    let deadline = Instant::now() + GRACE;
    while !nobody_is_left() {
        if Instant::now() > deadline {
            let _nobody = kill(everybody, Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Reaps, and tells whether every process has ended: all of them descend from this one.
fn nobody_is_left() -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return false,
            Err(Errno::ECHILD) => return true,
            Ok(_) | Err(_) => {}
        }
    }
}
