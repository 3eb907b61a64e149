//! Owners, modes, times and extended attributes.

use std::ffi::OsStr;
use std::fs::File;
use std::io;

use berth_agent_sys::root_dir::Directory;
use berth_archive::Entry;
use nix::errno::Errno;
use nix::sys::stat::{Mode, fchmod, futimens};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown};

use super::name::os;

type Xattr = (Vec<u8>, Vec<u8>);

/// Sets everything but extended attributes on a file just written.
pub(super) fn set_on_file(file: &File, entry: &Entry, uid: u32, gid: u32) -> io::Result<()> {
    // In this order: a change of the owner clears the set-user-id bit.
    fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    fchmod(file, Mode::from_bits_truncate(entry.mode))?;
    let time = TimeSpec::from_duration(entry.modified);
    futimens(file, &time, &time)?;
    Ok(())
}

pub(super) fn set_xattrs(parent: &Directory, name: &OsStr, xattrs: &[Xattr]) -> io::Result<()> {
    set_all(xattrs, |key, value| parent.set_xattr(name, key, value))
}

pub(super) fn set_own_xattrs(directory: &Directory, xattrs: &[Xattr]) -> io::Result<()> {
    set_all(xattrs, |key, value| directory.set_own_xattr(key, value))
}

fn set_all(xattrs: &[Xattr], set: impl Fn(&OsStr, &[u8]) -> io::Result<()>) -> io::Result<()> {
    for (key, value) in xattrs {
        if is_private(key) {
            continue;
        }
        match set(os(key), value) {
            Err(error) if may_be_left_out(&error, key) => {
                tracing::debug!(key = %os(key).display(), %error, "left out an extended attribute");
            }
            result => result?,
        }
    }
    Ok(())
}

/// Overlayfs's own attributes in an archive would let a stranger redirect directories.
fn is_private(key: &[u8]) -> bool {
    key.starts_with(b"trusted.overlay.") || key.starts_with(b"user.overlay.")
}

/// As Docker does: filesystems without the attribute go without, and `user.` is for files only.
fn may_be_left_out(error: &io::Error, key: &[u8]) -> bool {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EOPNOTSUPP) => true,
        Some(Errno::EPERM) => key.starts_with(b"user."),
        _ => false,
    }
}
