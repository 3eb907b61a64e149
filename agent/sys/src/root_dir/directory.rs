//! One directory inside a tree, and the operations on the names in it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags, fchmod, fchmodat, fstat, fstatat,
    mkdirat, mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, linkat, symlinkat, unlinkat};

use super::{remove, xattr};

/// An open directory. Every `name` is one path component, and links are not followed.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
}

/// What kind of thing a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A unix socket.
    Socket,
}

/// What `stat` tells about a name.
#[derive(Debug, Clone, Copy)]
pub struct Attributes {
    /// What it is.
    pub kind: NodeKind,
    /// Permission bits with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change, since 1970; negative times are given as 0.
    pub modified: Duration,
    /// Device and inode number, which tell hard links apart.
    pub identity: (u64, u64),
    /// How many names it has.
    pub n_links: u64,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Space taken on the disk.
    pub allocated_bytes: u64,
}

// === impl Directory ===

impl Directory {
    pub(super) fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Opens a directory in this one.
    ///
    /// # Errors
    ///
    /// Fails when it does not exist or is no directory.
    pub fn open_dir(&self, name: &OsStr) -> io::Result<Self> {
        check(name)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(Self {
            fd: openat(&self.fd, name, flags, Mode::empty())?,
        })
    }

    /// Opens a regular file for reading, without waiting for the other end of a fifo.
    ///
    /// # Errors
    ///
    /// Fails when it does not exist or is a link.
    pub fn open_file(&self, name: &OsStr) -> io::Result<File> {
        check(name)?;
        let flags = OFlag::O_RDONLY
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK
            | OFlag::O_NOCTTY
            | OFlag::O_CLOEXEC;
        Ok(File::from(openat(&self.fd, name, flags, Mode::empty())?))
    }

    /// Makes a new file and opens it for writing.
    ///
    /// # Errors
    ///
    /// Fails with `AlreadyExists` when the name is taken, by a link too.
    pub fn create_file(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        check(name)?;
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(mode);
        Ok(File::from(openat(&self.fd, name, flags, mode)?))
    }

    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// Fails with `AlreadyExists` when the name is taken.
    pub fn make_dir(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        check(name)?;
        Ok(mkdirat(&self.fd, name, Mode::from_bits_truncate(mode))?)
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    ///
    /// Fails with `AlreadyExists` when the name is taken.
    pub fn symlink(&self, name: &OsStr, target: &OsStr) -> io::Result<()> {
        check(name)?;
        Ok(symlinkat(target, &self.fd, name)?)
    }

    /// Gives `original` in another directory of the same filesystem a second name in this one.
    ///
    /// # Errors
    ///
    /// Fails when the original does not exist or the name is taken.
    pub fn hard_link(&self, name: &OsStr, other: &Self, original: &OsStr) -> io::Result<()> {
        check(name)?;
        check(original)?;
        Ok(linkat(
            &other.fd,
            original,
            &self.fd,
            name,
            AtFlags::empty(),
        )?)
    }

    /// Makes a device, fifo or socket; `device` is its major and minor number.
    ///
    /// # Errors
    ///
    /// Fails when the name is taken, for other kinds, or without `CAP_MKNOD`.
    pub fn make_node(
        &self,
        name: &OsStr,
        kind: NodeKind,
        mode: u32,
        device: (u32, u32),
    ) -> io::Result<()> {
        check(name)?;
        let kind = match kind {
            NodeKind::CharacterDevice => SFlag::S_IFCHR,
            NodeKind::BlockDevice => SFlag::S_IFBLK,
            NodeKind::Fifo => SFlag::S_IFIFO,
            NodeKind::Socket => SFlag::S_IFSOCK,
            NodeKind::File | NodeKind::Directory | NodeKind::Symlink => {
                return Err(io::ErrorKind::InvalidInput.into());
            }
        };
        let number = libc::makedev(device.0, device.1);
        let mode = Mode::from_bits_truncate(mode);
        Ok(mknodat(&self.fd, name, kind, mode, number)?)
    }

    /// Renames within this directory, replacing what has the new name.
    ///
    /// # Errors
    ///
    /// Fails when the old name does not exist, or a full directory has the new one.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        check(from)?;
        check(to)?;
        Ok(nix::fcntl::renameat(&self.fd, from, &self.fd, to)?)
    }

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

    /// Changes the mode of something that the caller has just made and that is no link.
    ///
    /// # Errors
    ///
    /// Fails when the name does not exist.
    pub fn chmod(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        check(name)?;
        // The kernel call has no flags: a link in this place would be followed, out of the tree
        // too. The check narrows that to a race, and trees that others can change at the same
        // time are not worked on with this function.
        if self.attributes(name)?.kind == NodeKind::Symlink {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mode = Mode::from_bits_truncate(mode);
        Ok(fchmodat(
            &self.fd,
            name,
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

    /// Returns the attributes of a name.
    ///
    /// # Errors
    ///
    /// Fails when the name does not exist.
    pub fn attributes(&self, name: &OsStr) -> io::Result<Attributes> {
        check(name)?;
        let stat = fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        Ok(Attributes::from(stat))
    }

    /// Returns the attributes of this directory itself.
    ///
    /// # Errors
    ///
    /// Fails when the filesystem does.
    pub fn own_attributes(&self) -> io::Result<Attributes> {
        Ok(Attributes::from(fstat(&self.fd)?))
    }

    /// Returns the target of a symbolic link.
    ///
    /// # Errors
    ///
    /// Fails when the name does not exist or is no link.
    pub fn read_link(&self, name: &OsStr) -> io::Result<OsString> {
        check(name)?;
        Ok(readlinkat(&self.fd, name)?)
    }

    /// Returns the names in this directory, sorted by their bytes.
    ///
    /// # Errors
    ///
    /// Fails when the directory cannot be read.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut names = Vec::new();
        for entry in nix::dir::Dir::openat(&self.fd, ".", flags, Mode::empty())? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Removes a name and everything below it; one that does not exist is no error.
    ///
    /// # Errors
    ///
    /// Fails when something in it cannot be removed.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        check(name)?;
        remove::tree(self, name)
    }

    /// Removes one name that is no directory.
    ///
    /// # Errors
    ///
    /// Fails when it does not exist or is a directory.
    pub fn unlink(&self, name: &OsStr) -> io::Result<()> {
        check(name)?;
        Ok(unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Removes one empty directory.
    ///
    /// # Errors
    ///
    /// Fails when it does not exist or is not empty.
    pub fn remove_dir(&self, name: &OsStr) -> io::Result<()> {
        check(name)?;
        Ok(unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir)?)
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

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Refuses what is not one plain component, since `*at` calls would walk it without confinement.
fn check(name: &OsStr) -> io::Result<()> {
    let bytes = name.as_bytes();
    if matches!(bytes, b"" | b"." | b"..") || bytes.contains(&b'/') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a plain file name",
        ));
    }
    Ok(())
}

// === impl Attributes ===

impl From<FileStat> for Attributes {
    fn from(stat: FileStat) -> Self {
        let kind = match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFDIR => NodeKind::Directory,
            SFlag::S_IFLNK => NodeKind::Symlink,
            SFlag::S_IFCHR => NodeKind::CharacterDevice,
            SFlag::S_IFBLK => NodeKind::BlockDevice,
            SFlag::S_IFIFO => NodeKind::Fifo,
            SFlag::S_IFSOCK => NodeKind::Socket,
            _regular => NodeKind::File,
        };
        let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
        let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
        Self {
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: Duration::new(seconds, nanoseconds),
            identity: (stat.st_dev, stat.st_ino),
            n_links: stat.st_nlink,
            device: (libc::major(stat.st_rdev), libc::minor(stat.st_rdev)),
            allocated_bytes: u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK,
        }
    }
}

/// The unit of `st_blocks`, whatever the filesystem's block size is.
const BLOCK: u64 = 512;
