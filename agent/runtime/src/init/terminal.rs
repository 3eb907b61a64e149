//! The terminal of a container or command: a pair from the container's own devpts.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use berth_agent_sys::mount::{attach, clone_mount_at};
use berth_agent_sys::terminal::{open_peer, set_size};
use nix::fcntl::{OFlag, ResolveFlag};
use nix::sys::stat::{fstat, makedev};
use nix::sys::statfs::FsType;

use super::root::{Kind, Root, filesystem_of};
use super::sync::ChildEnd;
use crate::failure::{AtStep as _, Failure, step};
use crate::request::TerminalSize;

/// Type number of devpts.
const DEVPTS: FsType = FsType(0x1cd1);

/// Opens a new terminal, hands its master to the supervisor, and returns the other side.
pub(super) fn open(
    root: &Root,
    size: Option<TerminalSize>,
    sync: &ChildEnd,
) -> Result<OwnedFd, Failure> {
    let path = Path::new("/dev/pts/ptmx");
    let what = || path.display().to_string();
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY;
    let master = root
        .find(path, flags, ResolveFlag::RESOLVE_NO_SYMLINKS)
        .at(step::TERMINAL, what)?;
    // The container could have put something else there, which would then be asked for a terminal.
    let is_ptmx = fstat(&master).at(step::TERMINAL, what)?.st_rdev == makedev(5, 2);
    if !is_ptmx || filesystem_of(&master).at(step::TERMINAL, what)? != DEVPTS {
        return Err(Failure::new(
            step::TERMINAL,
            "/dev/pts/ptmx is not the master of a devpts",
        ));
    }
    let peer = open_peer(&master).at(step::TERMINAL, || "the other side of the terminal")?;
    if let Some(TerminalSize { rows, cols }) = size {
        set_size(&master, rows, cols).at(step::TERMINAL, || "size")?;
    }
    sync.terminal(master.as_fd())
        .at(step::TERMINAL, || "handing the terminal over")?;
    Ok(peer)
}

/// Shows the terminal as `/dev/console`, by descriptor: no path of the container says what appears there.
pub(super) fn show_as_console(root: &Root, peer: &OwnedFd) -> Result<(), Failure> {
    let what = || "/dev/console";
    let target = root
        .ensure(Path::new("/dev/console"), Kind::File)
        .at(step::TERMINAL, what)?;
    let tree = clone_mount_at(peer, false).at(step::TERMINAL, what)?;
    attach(&tree, &target).at(step::TERMINAL, what)
}
