//! A machine whose process 1 is a program of its root filesystem, as the monitor sees it: how to
//! find out that it is up, and how to ask it to go off.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use berth_provisioners_api::DriverError;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::fs::{OFlags, inotify};

use crate::console::Console;
use crate::failure::Doing as _;
use crate::processes::Process;

/// How long such a machine may take to go off in order before it is turned off.
pub(crate) const GRACE: Duration = Duration::from_secs(30);

/// How long it may take until sshd listens; whoever boots it waits a little longer.
const PATIENCE: Duration = Duration::from_secs(55);
/// How often to look although nothing was heard: an init may put another `/run` over the watched one.
const LOOK: Duration = Duration::from_millis(250);

/// Where sshd writes its number as soon as it listens, as it is told in the machine.
const SSHD_IS_UP: &str = "run/sshd.pid";
/// What systemd makes first of all, and by which everybody knows that it runs.
const SYSTEMD_RUNS: &str = "run/systemd/system";
/// Where sysvinit listens for orders, on newer and older systems.
const SYSVINIT_LISTENS: [&str; 2] = ["run/initctl", "dev/initctl"];

/// What a machine is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// To go off.
    Off,
    /// To go off and come up again.
    Restart,
}

/// The kinds of init that differ in how they take orders.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Systemd,
    /// With the pipe on which it listens.
    Sysvinit(PathBuf),
    /// One of which nothing is known.
    Other,
}

/// Waits until sshd listens in the machine whose init is `process`.
pub(crate) fn wait_until_reachable(process: u32, console: &mut Console) -> Result<(), DriverError> {
    let doing = || "cannot watch the machine".to_owned();
    let root = root_of(process);
    let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
    let events = inotify::init(flags).doing(doing)?;
    let init = Process::open(process.cast_signed())
        .doing(doing)?
        .ok_or_else(ended)?;
    let deadline = Instant::now() + PATIENCE;
    let mut buffer = [0; 4096];
    loop {
        let kinds = inotify::WatchFlags::CREATE | inotify::WatchFlags::CLOSE_WRITE;
        // The same place twice is one watch; a place that is just being replaced is tried again.
        let _watch = inotify::add_watch(&events, root.join("run"), kinds);
        if root.join(SSHD_IS_UP).exists() {
            return Ok(());
        }
        if init.wait(Duration::ZERO).doing(doing)? {
            console.copy();
            return Err(ended());
        }
        if Instant::now() > deadline {
            return Err(DriverError::refused(format!(
                "sshd does not listen after {} seconds",
                PATIENCE.as_secs()
            ))
            .with_hint("the root filesystem needs openssh-server, started by its init"));
        }
        let mut waited = [
            PollFd::new(events.as_fd(), PollFlags::POLLIN),
            PollFd::new(console.as_fd(), PollFlags::POLLIN),
            PollFd::new(init.as_fd(), PollFlags::POLLIN),
        ];
        // Cut short by a signal, it looks again all the same.
        let _count = poll(
            &mut waited,
            PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::MAX),
        );
        let _nothing = rustix::io::read(&events, &mut buffer);
        console.copy();
    }
}

fn ended() -> DriverError {
    DriverError::refused("the init ended while the machine came up")
}

/// Gives the init that is `process` an order in its own language.
pub(crate) fn tell(process: u32, order: Order) -> io::Result<()> {
    match kind(&root_of(process)) {
        // SIGRTMIN+3 starts poweroff.target, SIGRTMIN+5 reboot.target.
        Kind::Systemd if order == Order::Off => signal(37),
        Kind::Systemd => signal(39),
        Kind::Sysvinit(pipe) => change_runlevel(&pipe, order),
        // Power failure, at which an init that knows nothing better goes off.
        Kind::Other => signal(30),
    }
}

fn root_of(process: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{process}/root"))
}

fn kind(root: &Path) -> Kind {
    if root.join(SYSTEMD_RUNS).is_dir() {
        return Kind::Systemd;
    }
    let pipe = SYSVINIT_LISTENS
        .iter()
        .map(|place| root.join(place))
        .find(|pipe| fs::symlink_metadata(pipe).is_ok_and(|data| data.file_type().is_fifo()));
    pipe.map_or(Kind::Other, Kind::Sysvinit)
}

/// Sends a signal by its number to the init.
///
/// The shell does it, because signals of the range that has no names cannot be sent in safe Rust.
/// As a child of the monitor it is born among the machine's processes, where the init is number 1.
fn signal(number: u32) -> io::Result<()> {
    let status = Command::new("/bin/sh")
        .args(["-c", r#"kill -"$1" 1"#, "sh"])
        .arg(number.to_string())
        .stdin(Stdio::null())
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "the init does not take signal {number}"
    )))
}

/// Writes what `telinit` does.
fn change_runlevel(pipe: &Path, order: Order) -> io::Result<()> {
    // Not waiting for a listener: one that is gone is one that goes off.
    let mut pipe = OpenOptions::new()
        .write(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(pipe)?;
    pipe.write_all(&runlevel_request(order))
}

fn runlevel_request(order: Order) -> [u8; 384] {
    const MAGIC: u32 = 0x0309_1969;
    const CHANGE_RUNLEVEL: u32 = 1;
    let runlevel = match order {
        Order::Off => b'0',
        Order::Restart => b'6',
    };
    let mut request = [0; 384];
    request[0..4].copy_from_slice(&MAGIC.to_ne_bytes());
    request[4..8].copy_from_slice(&CHANGE_RUNLEVEL.to_ne_bytes());
    request[8..12].copy_from_slice(&u32::from(runlevel).to_ne_bytes());
    // Then the seconds that processes get between SIGTERM and SIGKILL.
    request[12..16].copy_from_slice(&5_u32.to_ne_bytes());
    request
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::Mode;

    use super::*;

    #[test]
    fn an_init_is_known_by_what_it_leaves_in_the_root() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        assert_eq!(kind(root), Kind::Other);
        fs::create_dir_all(root.join("run")).unwrap();
        fs::write(root.join("run/initctl"), "a file").unwrap();
        assert_eq!(kind(root), Kind::Other);
        fs::remove_file(root.join("run/initctl")).unwrap();
        nix::unistd::mkfifo(&root.join("run/initctl"), Mode::S_IRWXU).unwrap();
        assert_eq!(kind(root), Kind::Sysvinit(root.join("run/initctl")));
        fs::create_dir_all(root.join(SYSTEMD_RUNS)).unwrap();
        assert_eq!(kind(root), Kind::Systemd);
    }

    #[test]
    fn a_pipe_without_a_listener_does_not_hold_anybody_up() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("initctl");
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        change_runlevel(&pipe, Order::Off).unwrap_err();
    }
}
