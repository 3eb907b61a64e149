//! Mounts that only this process sees.

use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;

use berth_agent_sys::root_dir::RootDir;

use super::list;
use crate::{Mounted, SnapshotError};

/// Mounts an overlay at `point`, keeps only an open file of it, and takes it off again.
///
/// The kernel keeps a mount that was taken off for as long as a file in it is open, so nothing is
/// left to clean up after a kill, except between these calls (see [`release_leftovers`]).
pub(super) fn detached(
    point: &Path,
    lower: &[PathBuf],
    writable: Option<(&Path, &Path)>,
) -> Result<Mounted, SnapshotError> {
    fs::create_dir(point).map_err(SnapshotError::io("create", point))?;
    let result = mount_and_detach(point, lower, writable);
    let removed = fs::remove_dir(point);
    let root = result.map_err(SnapshotError::io("mount an overlay at", point))?;
    removed.map_err(SnapshotError::io("remove", point))?;
    Ok(Mounted::new(root))
}

/// Takes off mounts that a killed process left.
pub(super) fn release_leftovers(directory: &Path) -> Result<(), SnapshotError> {
    for name in list(directory)? {
        let point = directory.join(name);
        // Not a mount point any more: then there is nothing to take off.
        while umount2(&point, MntFlags::MNT_DETACH).is_ok() {}
        fs::remove_dir(&point).map_err(SnapshotError::io("remove", &point))?;
    }
    Ok(())
}

fn mount_and_detach(
    point: &Path,
    lower: &[PathBuf],
    writable: Option<(&Path, &Path)>,
) -> io::Result<RootDir> {
    overlay_at(point, lower, writable)?;
    let root = RootDir::open(point);
    umount2(point, MntFlags::MNT_DETACH)?;
    root
}

/// Mounts an overlay at `point`, in whichever namespace the calling thread is.
pub(super) fn overlay_at(
    point: &Path,
    lower: &[PathBuf],
    writable: Option<(&Path, &Path)>,
) -> io::Result<()> {
    // The names of open files are short, so that many layers fit the one page of options, and they
    // hold no commas or colons, which options would have to escape.
    let mut files = Vec::new();
    let mut name = |path: &Path| -> io::Result<String> {
        let file = locate(path)?;
        let name = format!("/proc/self/fd/{}", file.as_raw_fd());
        files.push(file);
        Ok(name)
    };
    let names: Vec<String> = lower
        .iter()
        .map(|path| name(path))
        .collect::<Result<_, _>>()?;
    let mut options = format!("lowerdir={}", names.join(":"));
    let mut flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    match writable {
        Some((upper, work)) => {
            let (upper, work) = (name(upper)?, name(work)?);
            options.push_str(&format!(",upperdir={upper},workdir={work}"));
        }
        None => flags |= MsFlags::MS_RDONLY,
    }
    options.push_str(",redirect_dir=off,metacopy=off,index=off");
    mount_overlay(point, flags, &options)
}

fn mount_overlay(point: &Path, flags: MsFlags, options: &str) -> io::Result<()> {
    let source = Some("overlay");
    match mount(source, point, source, flags, Some(options)) {
        Err(Errno::EINVAL) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the filesystem of the data root cannot carry overlayfs",
        )),
        result => Ok(result?),
    }
}

fn locate(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(open(path, flags, Mode::empty())?)
}
