//! One directory inside a tree, and the operations on the names in it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::libc;
use nix::sys::stat::{Mode, SFlag, fstat, fstatat, mkdirat, mknodat};
use nix::unistd::{UnlinkatFlags, linkat, symlinkat, unlinkat};

use super::{Attributes, NodeKind, mount_point, remove};

/// An open directory. Every `name` is one path component, and links are not followed.
#[derive(Debug)]
pub struct Directory {
    pub(super) fd: OwnedFd,
}

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

    /// Opens a regular file for reading and returns its attributes. What is something else is never
    /// opened, not even when it takes the file's place at this moment: opening a device can do harm.
    ///
    /// # Errors
    ///
    /// Fails when it does not exist, or with `InvalidInput` when it is no regular file.
    pub fn open_regular(&self, name: &OsStr) -> io::Result<(File, Attributes)> {
        self.reopen(name, OFlag::O_RDONLY)
    }

    /// Empties a regular file and opens it for writing; nothing else is ever opened.
    ///
    /// # Errors
    ///
    /// Fails when it does not exist, or with `InvalidInput` when it is no regular file.
    pub fn rewrite_file(&self, name: &OsStr) -> io::Result<File> {
        Ok(self.reopen(name, OFlag::O_WRONLY | OFlag::O_TRUNC)?.0)
    }

    fn reopen(&self, name: &OsStr, flags: OFlag) -> io::Result<(File, Attributes)> {
        check(name)?;
        let pin = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let found = openat(&self.fd, name, pin, Mode::empty())?;
        let attributes = Attributes::from(fstat(&found)?);
        if attributes.kind != NodeKind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // The same file that was looked at, whatever has its name by now.
        let path = format!("/proc/self/fd/{}", found.as_raw_fd());
        let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let file = nix::fcntl::open(path.as_str(), flags, Mode::empty())?;
        Ok((File::from(file), attributes))
    }

    /// Tells whether the file system may not be written to.
    ///
    /// # Errors
    ///
    /// Fails when the file system does.
    pub fn is_read_only(&self) -> io::Result<bool> {
        let flags = nix::sys::statvfs::fstatvfs(&self.fd)?.flags();
        Ok(flags.contains(nix::sys::statvfs::FsFlags::ST_RDONLY))
    }

    /// Tells whether what is here are no files but the kernel's own views and switches, as in `/proc`
    /// and `/sys`.
    ///
    /// # Errors
    ///
    /// Fails when the file system does.
    pub fn is_kernels(&self) -> io::Result<bool> {
        let kind = nix::sys::statfs::fstatfs(&self.fd)?.filesystem_type().0;
        Ok(KERNEL_FILESYSTEMS.contains(&kind))
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
        remove::tree(self, name, false)
    }

    /// Removes `name` as [`Self::remove`] does, but fails with `EBUSY` at the first name that something is mounted on,
    /// also when that is in another mount namespace, where the kernel would take the mount off.
    ///
    /// # Errors
    ///
    /// Fails when something in it cannot be removed.
    pub fn remove_unless_mounted(&self, name: &OsStr) -> io::Result<()> {
        check(name)?;
        remove::tree(self, name, true)
    }

    /// Returns whether something is mounted on `name`.
    ///
    /// # Errors
    ///
    /// Fails when there is no such name.
    pub fn is_mount_point(&self, name: &OsStr) -> io::Result<bool> {
        check(name)?;
        mount_point::is_at(self, name)
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
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// File systems whose files are the kernel's: proc, sysfs, both versions of cgroup, debugfs, tracefs,
/// securityfs, bpf, configfs, binfmt_misc, efivarfs, mqueue, devpts, pstore, selinuxfs. Numbers of
/// `linux/magic.h`.
const KERNEL_FILESYSTEMS: &[i64] = &[
    0x9fa0,
    0x6265_6572,
    0x6327_7270,
    0x0027_e0eb,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0xcafe_4a11,
    0x6265_6570,
    0x4249_4e4d,
    0xde5e_81e4,
    0x1980_0202,
    0x1cd1,
    0x6165_676c,
    0xf97c_ff8c,
];

/// Refuses what is not one plain component, since `*at` calls would walk it without confinement.
pub(super) fn check(name: &OsStr) -> io::Result<()> {
    let bytes = name.as_bytes();
    if matches!(bytes, b"" | b"." | b"..") || bytes.contains(&b'/') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a plain file name",
        ));
    }
    Ok(())
}
