//! A container's filesystem with what is mounted in it, in a mount namespace that nobody else is in.
//!
//! Mounts belong to a namespace, and a namespace to the threads in it. So a thread of its own makes
//! the namespace and the mounts, opens both, and ends; the open namespace keeps the mounts together.
//! The machine never has them: a kill leaves nothing to clean up.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use berth_agent_sys::mount::{attach, attribute, clone_mount, set_attributes};
use berth_agent_sys::root_dir::{NodeKind, RootDir};
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;

use super::mount::overlay_at;
use crate::{Bind, Mounted, Prepared, SnapshotError};

/// Mounts the filesystem and `binds` in it.
pub(super) fn mounted(
    point: &Path,
    prepared: &Prepared,
    binds: &[Bind],
    read_only: bool,
) -> Result<Mounted, SnapshotError> {
    let result = std::thread::scope(|scope| {
        scope
            .spawn(|| in_namespace(point, prepared, binds, read_only))
            .join()
    });
    let result = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let (root, namespace) = result.map_err(SnapshotError::io("mount the container at", point))?;
    Ok(Mounted::in_namespace(root, namespace))
}

/// What the thread does.
fn in_namespace(
    point: &Path,
    prepared: &Prepared,
    binds: &[Bind],
    read_only: bool,
) -> io::Result<(RootDir, OwnedFd)> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
    let writable = Some((prepared.upper.as_path(), prepared.work.as_path()));
    overlay_at(point, &prepared.lower, writable)?;
    let root = RootDir::open(point)?;
    for bind in binds {
        mount_bind(&root, bind)?;
    }
    if read_only {
        set_attributes(root.as_fd(), attribute::RDONLY, 0, None, false)?;
    }
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let namespace = open("/proc/thread-self/ns/mnt", flags, Mode::empty())?;
    if let Err(error) = forget_machine(&root) {
        // They only keep the machine from unmounting something while this is in use.
        tracing::debug!(%error, "the machine's mounts stay in a private namespace");
    }
    Ok((root, namespace))
}

/// Mounts one source, whose place is made as a start of the container would make it.
fn mount_bind(root: &RootDir, bind: &Bind) -> io::Result<()> {
    let source = match clone_mount(&bind.source, true) {
        // A start would say so; who only looks at other files has no use for it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        source => source?,
    };
    let is_directory = File::from(source.try_clone()?).metadata()?.is_dir();
    if bind.read_only {
        set_attributes(source.as_fd(), attribute::RDONLY, 0, None, true)?;
    }
    let place = match root.locate(&bind.target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_place(root, &bind.target, is_directory)?;
            root.locate(&bind.target)?
        }
        place => place?,
    };
    attach(source, place)
}

fn make_place(root: &RootDir, target: &Path, is_directory: bool) -> io::Result<()> {
    if is_directory {
        return root.create_dir_all(target, 0o755).map(drop);
    }
    let parent = target.parent().unwrap_or_else(|| Path::new("."));
    let name = target
        .file_name()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let directory = root.create_dir_all(parent, 0o755)?;
    match directory.attributes(name) {
        // A dangling link stays; nothing can be mounted there.
        Ok(found) if found.kind == NodeKind::Symlink => Err(io::ErrorKind::NotFound.into()),
        Ok(_exists) => Ok(()),
        Err(_missing) => directory.create_file(name, 0o755).map(drop),
    }
}

/// Takes the machine's own mounts out of this thread's namespace.
fn forget_machine(root: &RootDir) -> io::Result<()> {
    nix::unistd::fchdir(root)?;
    nix::unistd::pivot_root(".", ".")?;
    Ok(umount2(".", MntFlags::MNT_DETACH)?)
}
