//! The files of a running container, as its processes see them.
//!
//! A thread of its own enters the container's mount namespace, opens the root of it and ends. It is
//! never in the container's process id namespace, where it could be traced.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;

use berth_agent_sys::mount::clone_mount;
use berth_agent_sys::process::open_pidfd;
use berth_agent_sys::root_dir::RootDir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use std::os::fd::AsFd as _;
use std::path::Path;

/// What is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Everything that the container's processes see.
    Everything,
    /// The root file system alone, without what is mounted in it.
    RootOnly,
}

/// Opens the root of the container whose first process is `pid`; with it, what must stay open.
///
/// Fails with `NotFound` when the process is gone, or is not of this container any more.
pub(super) fn open_root(pid: i32, container: &str, part: Part) -> io::Result<(RootDir, OwnedFd)> {
    let process = open_pidfd(pid).map_err(gone)?;
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let path = format!("/proc/{pid}/ns/mnt");
    let namespace = open(path.as_str(), flags, Mode::empty()).map_err(|e| gone(e.into()))?;
    let belongs = belongs_to(pid, container).map_err(gone)?;
    // The number may have gone to another process, but not while this one lived.
    if !is_alive(&process)? || !belongs {
        return Err(io::ErrorKind::NotFound.into());
    }
    if is_ours(&namespace)? {
        return Err(io::Error::other("it has no file system of its own"));
    }
    let entered = std::thread::scope(|scope| {
        let thread = scope.spawn(|| enter(&namespace, part));
        thread.join()
    });
    let root = entered.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    Ok((root, namespace))
}

/// What the thread does.
fn enter(namespace: &OwnedFd, part: Part) -> io::Result<RootDir> {
    // Root and current directory are the thread's own from here on.
    unshare(CloneFlags::CLONE_FS)?;
    setns(namespace, CloneFlags::CLONE_NEWNS)?;
    match part {
        Part::Everything => RootDir::open(Path::new("/")),
        Part::RootOnly => clone_mount(Path::new("/"), false).map(RootDir::from_fd),
    }
}

fn gone(error: io::Error) -> io::Error {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ESRCH | Errno::ENOENT | Errno::EINVAL) => io::ErrorKind::NotFound.into(),
        _ => error,
    }
}

/// Tells whether a process is in a control group of the container, or is a child of its supervisor.
fn belongs_to(pid: i32, container: &str) -> io::Result<bool> {
    if fs::read_to_string(format!("/proc/{pid}/cgroup"))?.contains(container) {
        return Ok(true);
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    let Some(parent) = parent.map(str::trim).filter(|parent| *parent != "0") else {
        return Ok(false);
    };
    let words = fs::read(format!("/proc/{parent}/cmdline"))?;
    Ok(String::from_utf8_lossy(&words).contains(container))
}

fn is_alive(process: &OwnedFd) -> io::Result<bool> {
    let mut ended = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut ended, PollTimeout::ZERO)? == 0)
}

/// Tells whether a mount namespace is the agent's own, in which a container never is.
fn is_ours(namespace: &OwnedFd) -> io::Result<bool> {
    let own = fs::metadata("/proc/self/ns/mnt")?;
    let other = fs::File::from(namespace.try_clone()?).metadata()?;
    Ok((own.dev(), own.ino()) == (other.dev(), other.ino()))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn processes_of_the_machine_are_never_taken_for_a_container() {
        let own = i32::try_from(std::process::id()).expect("pid");
        let error = open_root(own, "0123456789abcdef", Part::Everything).expect_err("no container");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let mut child = Command::new("sleep").arg("1000").spawn().expect("sleep");
        let pid = i32::try_from(child.id()).expect("pid");
        // Its parent's name has the id in it, but it shares our files.
        let mark = "files";
        if belongs_to(pid, mark).expect("known") {
            open_root(pid, mark, Part::Everything).expect_err("our own namespace");
        }
        child.kill().expect("kill");
        child.wait().expect("end");
        let error = open_root(pid, mark, Part::Everything).expect_err("no process");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
