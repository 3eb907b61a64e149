//! Removing a whole tree, however deep somebody made it.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd as _;

use nix::errno::Errno;

use super::Directory;

/// How many directories are held open on the way down.
///
/// A container can make a tree deeper than the limit of open files or than any stack. Below this
/// depth directories are moved up beside the top and removed from there.
const MAX_DEPTH: usize = 64;

/// Removes `name` from `top` with everything below it; a missing name is no error.
/// With `heeds_mounts` it stops at the first name that something is mounted on.
pub(super) fn tree(top: &Directory, name: &OsStr, heeds_mounts: bool) -> io::Result<()> {
    let mut remover = Remover {
        top,
        base: name.to_owned(),
        n_moved: 0,
        heeds_mounts,
        queue: VecDeque::from([name.to_owned()]),
    };
    while let Some(next) = remover.queue.pop_front() {
        remover.remove(top, &next, 0)?;
    }
    Ok(())
}

struct Remover<'a> {
    top: &'a Directory,
    base: OsString,
    n_moved: u64,
    heeds_mounts: bool,
    queue: VecDeque<OsString>,
}

impl Remover<'_> {
    fn remove(&mut self, parent: &Directory, name: &OsStr, depth: usize) -> io::Result<()> {
        if self.heeds_mounts && matches!(parent.is_mount_point(name), Ok(true)) {
            return Err(Errno::EBUSY.into());
        }
        match parent.unlink(name) {
            Err(error) if is_directory_error(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            result => return result,
        }
        if depth >= MAX_DEPTH {
            return self.move_up(parent, name);
        }
        let directory = match parent.open_dir(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            result => result?,
        };
        for child in directory.names()? {
            self.remove(&directory, &child, depth + 1)?;
        }
        parent.remove_dir(name)
    }

    fn move_up(&mut self, parent: &Directory, name: &OsStr) -> io::Result<()> {
        loop {
            let mut new = OsString::from(".");
            new.push(&self.base);
            new.push(format!(".{}", self.n_moved));
            self.n_moved += 1;
            match nix::fcntl::renameat(parent.as_fd(), name, self.top.as_fd(), new.as_os_str()) {
                // A full directory has that name, left by an earlier removal that was cut short.
                Err(Errno::ENOTEMPTY | Errno::EEXIST) => self.queue.push_back(new),
                Err(errno) => return Err(errno.into()),
                Ok(()) => {
                    self.queue.push_back(new);
                    return Ok(());
                }
            }
        }
    }
}

/// Linux says `EISDIR` when a directory is unlinked, POSIX `EPERM`.
fn is_directory_error(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EISDIR | Errno::EPERM)
    )
}
