//! A container's filesystem with what is mounted in it, in mount namespaces that nobody else is in.
//!
//! Mounts belong to a namespace, and a namespace to the threads in it. So a thread of its own makes
//! the namespace and the mounts, opens both, and ends; the open namespace keeps the mounts together.
//! The machine never has them: a kill leaves nothing to clean up.
//!
//! The filesystem itself is mounted once: an overlay whose upper directory is mounted twice may show
//! anything. Everybody who works on it gets a copy of that one mount, with or without the rest.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use berth_agent_sys::mount::{
    Propagation, attach, attribute, clone_mount, clone_mount_at, set_attributes,
};
use berth_agent_sys::root_dir::{NodeKind, RootDir};
use nix::fcntl::{OFlag, open, openat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;

use super::mount::overlay_at;
use crate::{Access, Bind, Mounted, Prepared, SnapshotError};

/// A container's filesystem, mounted once for all who work on it.
#[derive(Debug)]
pub struct PrivateMount {
    root: RootDir,
    namespace: OwnedFd,
    point: PathBuf,
}

impl PrivateMount {
    pub(super) fn of(point: &Path, prepared: &Prepared) -> Result<Self, SnapshotError> {
        let made = on_a_thread(|| in_new_namespace(point, prepared));
        let (root, namespace) = made.map_err(failed(point))?;
        Ok(Self {
            root,
            namespace,
            point: point.to_owned(),
        })
    }

    /// Opens the filesystem without anything that is mounted in it.
    ///
    /// # Errors
    ///
    /// Fails when the kernel refuses the mount.
    pub fn alone(&self) -> Result<Mounted, SnapshotError> {
        let cloned = on_a_thread(|| {
            self.enter()?;
            clone_mount_at(&self.root, false)
        });
        let root = cloned.map_err(failed(&self.point))?;
        Ok(Mounted::new(RootDir::from_fd(root)))
    }

    /// Opens the filesystem with `binds` mounted in it, for this guard alone; `read_only` is about the
    /// filesystem itself. Places of `binds` that are missing are made, and stay. Sources that are
    /// missing are left out.
    ///
    /// # Errors
    ///
    /// Fails when the kernel refuses a mount, or a path below a source is missing.
    pub fn with(&self, binds: &[Bind], read_only: bool) -> Result<Mounted, SnapshotError> {
        let mounted = on_a_thread(|| self.mount_in_copy(binds, read_only));
        let (root, namespace) = mounted.map_err(failed(&self.point))?;
        Ok(Mounted::in_namespace(root, namespace))
    }

    /// What the thread does.
    fn mount_in_copy(&self, binds: &[Bind], read_only: bool) -> io::Result<(RootDir, OwnedFd)> {
        // As long as this thread still sees the machine's files.
        let sources: Vec<Option<OwnedFd>> = binds.iter().map(source).collect::<io::Result<_>>()?;
        let namespaces = own_namespaces()?;
        self.enter()?;
        nix::unistd::fchdir(&self.root)?;
        // The current directory is in the copy from here on.
        unshare(CloneFlags::CLONE_NEWNS)?;
        let root = RootDir::open(Path::new("."))?;
        for (bind, source) in binds.iter().zip(sources) {
            if let Some(source) = source {
                attach_source(&root, bind, source)?;
            }
        }
        if read_only {
            set_attributes(root.as_fd(), attribute::RDONLY, 0, None, false)?;
        }
        Ok((root, mount_namespace(&namespaces)?))
    }

    fn enter(&self) -> io::Result<()> {
        // Root and current directory are the thread's own from here on.
        unshare(CloneFlags::CLONE_FS)?;
        Ok(setns(&self.namespace, CloneFlags::CLONE_NEWNS)?)
    }
}

fn failed(point: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    SnapshotError::io("mount the container at", point)
}

/// Runs something that changes the thread it is on.
fn on_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let result = std::thread::scope(|scope| {
        std::thread::Builder::new()
            .spawn_scoped(scope, work)
            .map(std::thread::ScopedJoinHandle::join)
    });
    result?.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn in_new_namespace(point: &Path, prepared: &Prepared) -> io::Result<(RootDir, OwnedFd)> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
    let writable = Some((prepared.upper.as_path(), prepared.work.as_path()));
    overlay_at(point, &prepared.lower, writable)?;
    let root = RootDir::open(point)?;
    let namespace = mount_namespace(&own_namespaces()?)?;
    if let Err(error) = forget_machine(&root) {
        // They only keep the machine from unmounting something while this is in use.
        tracing::debug!(%error, "the machine's mounts stay in a private namespace");
    }
    Ok((root, namespace))
}

/// Opens the folder of this thread's namespaces, which shows those that it is in later as well.
fn own_namespaces() -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(open("/proc/thread-self/ns", flags, Mode::empty())?)
}

fn mount_namespace(namespaces: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    Ok(openat(namespaces, "mnt", flags, Mode::empty())?)
}

/// Returns a mount of what a bind shows, attached nowhere; nothing when its source is missing.
fn source(bind: &Bind) -> io::Result<Option<OwnedFd>> {
    let cloned = if bind.subpath.as_os_str().is_empty() {
        clone_mount(&bind.source, bind.recursive)
    } else {
        RootDir::open(&bind.source)
            .and_then(|source| source.locate(&bind.subpath))
            .and_then(|found| clone_mount_at(found, bind.recursive))
    };
    let mount = match cloned {
        // A start would say so; who only looks at other files has no use for it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        mount => mount?,
    };
    // What happens to the mounts in it is not the machine's.
    let private = Some(Propagation::Private);
    set_attributes(mount.as_fd(), 0, 0, private, true)?;
    if bind.access != Access::ReadWrite {
        let is_recursive = bind.access == Access::ReadOnly;
        set_attributes(mount.as_fd(), attribute::RDONLY, 0, None, is_recursive)?;
    }
    Ok(Some(mount))
}

/// Mounts one source, whose place is made as a start of the container would make it.
fn attach_source(root: &RootDir, bind: &Bind, source: OwnedFd) -> io::Result<()> {
    let is_directory = File::from(source.try_clone()?).metadata()?.is_dir();
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
