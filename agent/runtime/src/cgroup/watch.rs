//! Hearing from the kernel that it kills for want of memory.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::uio::pread;
use nix::unistd::read;

use super::{Cgroup, oom};

/// What becomes ready when the kernel may have killed something in a group.
#[derive(Debug)]
pub(crate) struct OomSignal {
    pub(crate) fd: OwnedFd,
    /// Version 1: it is readable when memory is short, a moment before the kernel kills, if it does. With version 2 it
    /// is of exceptional interest when counts have changed.
    pub(crate) is_early: bool,
}

/// Where kills for want of memory are counted.
#[derive(Clone, Debug)]
pub(crate) struct OomCount {
    directory: PathBuf,
    is_v1: bool,
}

/// Takes notice of a signal, so that it becomes ready again with what comes next.
pub(crate) fn hear(fd: &OwnedFd, is_early: bool) -> io::Result<()> {
    let heard = if is_early {
        read(fd, &mut [0; 8])
    } else {
        pread(fd, &mut [0; 512], 0)
    };
    match heard {
        Ok(_) | Err(Errno::EAGAIN) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

// === impl Cgroup ===

impl Cgroup {
    /// Asks the kernel to tell of kills for want of memory in the group; nothing when it counts none.
    pub(crate) fn watch_memory(&self) -> io::Result<Option<(OomSignal, OomCount)>> {
        let (directory, is_v1) = match (self.layout.hierarchy("memory"), &self.layout.v2) {
            (Some(hierarchy), _) => (hierarchy.mount.join(&self.path), true),
            (None, Some(root)) => (root.join(&self.path), false),
            (None, None) => return Ok(None),
        };
        let fd = if is_v1 {
            notifier(&directory)?
        } else {
            File::open(directory.join("memory.events"))?.into()
        };
        hear(&fd, is_v1)?;
        let signal = OomSignal {
            fd,
            is_early: is_v1,
        };
        Ok(Some((signal, OomCount { directory, is_v1 })))
    }
}

/// Registers a counter with a group of version 1, see the kernel's documentation of `cgroup.event_control`. The kernel
/// keeps it for as long as the group is there.
fn notifier(directory: &Path) -> io::Result<OwnedFd> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let counter = EventFd::from_value_and_flags(0, flags)?;
    let control = File::open(directory.join("memory.oom_control"))?;
    let line = format!("{} {}", counter.as_fd().as_raw_fd(), control.as_raw_fd());
    fs::write(directory.join("cgroup.event_control"), line)?;
    Ok(counter.into())
}

// === impl OomCount ===

impl OomCount {
    /// Returns how much was killed in the group and below it so far.
    pub(crate) fn read(&self) -> u64 {
        if self.is_v1 {
            oom::count_in_all(&self.directory)
        } else {
            oom::count_in_events(&self.directory)
        }
    }

    /// Returns whether nothing is killed although memory is short: processes wait instead.
    pub(crate) fn is_waiting(&self) -> bool {
        let file = self.directory.join("memory.oom_control");
        let text = fs::read_to_string(file).unwrap_or_default();
        self.is_v1 && text.contains("oom_kill_disable 1") && text.contains("under_oom 1")
    }
}
