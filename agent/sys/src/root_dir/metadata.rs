//! Changing what belongs to a name in a [`Directory`] beside its content: owner, mode, times, extended attributes.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FchmodatFlags, Mode, UtimensatFlags, fchmod, fchmodat, fstat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, fchownat};

use super::directory::check;
use super::{Attributes, Directory, NodeKind, xattr};

impl Directory {
    /// Changes owner and group.
    ///
    /// # Errors
    ///
    /// Fails when the name does not exist.
    pub fn chown(&self, name: &OsStr, uid: u32, gid: u32) -> io::Result<()> {
        check(name)?;
        Ok(fchownat(
            &self.fd,
            name,
            Some(Uid::from_raw(uid)),
            Some(Gid::from_raw(gid)),
            AtFlags::AT_SYMLINK_NOFOLLOW,
        )?)
    }

    /// Changes the mode of something that is no link, also when somebody else changes the directory.
    ///
    /// # Errors
    ///
    /// Fails when the name does not exist, or with `InvalidInput` when it is a link.
    pub fn chmod(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        check(name)?;
        // The kernel's call with a name follows links, out of the tree too. So the thing is pinned
        // first, and its mode changed through the descriptor.
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let found = openat(&self.fd, name, flags, Mode::empty())?;
        if Attributes::from(fstat(&found)?).kind == NodeKind::Symlink {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let path = format!("/proc/self/fd/{}", found.as_raw_fd());
        let mode = Mode::from_bits_truncate(mode);
        Ok(fchmodat(
            AT_FDCWD,
            path.as_str(),
            mode,
            FchmodatFlags::FollowSymlink,
        )?)
    }

    /// Changes mode, owner and group of this directory itself.
    ///
    /// # Errors
    ///
    /// Fails when the filesystem refuses it.
    pub fn set_own(&self, mode: u32, uid: u32, gid: u32) -> io::Result<()> {
        fchown(&self.fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        Ok(fchmod(&self.fd, Mode::from_bits_truncate(mode))?)
    }

    /// Sets access and modification time, of a link itself.
    ///
    /// # Errors
    ///
    /// Fails when the name does not exist.
    pub fn set_modified(&self, name: &OsStr, modified: Duration) -> io::Result<()> {
        check(name)?;
        let time = TimeSpec::from_duration(modified);
        Ok(utimensat(
            &self.fd,
            name,
            &time,
            &time,
            UtimensatFlags::NoFollowSymlink,
        )?)
    }

    /// Sets access and modification time of this directory itself.
    ///
    /// # Errors
    ///
    /// Fails when the filesystem refuses it.
    pub fn set_own_modified(&self, modified: Duration) -> io::Result<()> {
        let time = TimeSpec::from_duration(modified);
        Ok(nix::sys::stat::futimens(&self.fd, &time, &time)?)
    }

    /// Sets an extended attribute of a name, of a link itself.
    ///
    /// # Errors
    ///
    /// Fails when the filesystem or the kernel refuses the attribute.
    pub fn set_xattr(&self, name: &OsStr, key: &OsStr, value: &[u8]) -> io::Result<()> {
        check(name)?;
        xattr::set(&self.proc_name(name), key, value)
    }

    /// Removes an extended attribute of a name, of a link itself.
    ///
    /// # Errors
    ///
    /// Fails when there is no such attribute.
    pub fn remove_xattr(&self, name: &OsStr, key: &OsStr) -> io::Result<()> {
        check(name)?;
        xattr::remove(&self.proc_name(name), key)
    }

    /// Returns an extended attribute of a name, `None` when it has none.
    ///
    /// # Errors
    ///
    /// Fails when the name does not exist.
    pub fn xattr(&self, name: &OsStr, key: &OsStr) -> io::Result<Option<Vec<u8>>> {
        check(name)?;
        xattr::get(&self.proc_name(name), key)
    }

    /// Returns the keys of the extended attributes of a name, sorted.
    ///
    /// # Errors
    ///
    /// Fails when the name does not exist.
    pub fn xattr_keys(&self, name: &OsStr) -> io::Result<Vec<OsString>> {
        check(name)?;
        xattr::list(&self.proc_name(name))
    }

    /// As [`Directory::set_xattr`], for this directory itself.
    ///
    /// # Errors
    ///
    /// Fails when the filesystem or the kernel refuses the attribute.
    pub fn set_own_xattr(&self, key: &OsStr, value: &[u8]) -> io::Result<()> {
        xattr::set(&self.proc_name(OsStr::new(".")), key, value)
    }

    /// As [`Directory::xattr`], for this directory itself.
    ///
    /// # Errors
    ///
    /// Fails when the filesystem refuses it.
    pub fn own_xattr(&self, key: &OsStr) -> io::Result<Option<Vec<u8>>> {
        xattr::get(&self.proc_name(OsStr::new(".")), key)
    }

    /// As [`Directory::xattr_keys`], for this directory itself.
    ///
    /// # Errors
    ///
    /// Fails when the filesystem refuses it.
    pub fn own_xattr_keys(&self) -> io::Result<Vec<OsString>> {
        xattr::list(&self.proc_name(OsStr::new(".")))
    }

    /// The system has no xattr calls relative to a directory; the magic link stands in for one.
    fn proc_name(&self, name: &OsStr) -> OsString {
        let mut path = OsString::from(format!("/proc/self/fd/{}/", self.fd.as_raw_fd()));
        path.push(name);
        path
    }
}
