//! The mount calls that work on descriptors (`fsopen`, `open_tree`, `move_mount`, `mount_setattr`), Linux 5.12.
//!
//! A mount made with them needs no path, so nobody can redirect it with a symbolic link.
#![expect(
    unsafe_code,
    reason = "the C library has no functions for these system calls"
)]

use std::ffi::{CStr, CString};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use nix::libc;

use crate::call::{c_path, check, owned};

const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_SET_FD: libc::c_uint = 5;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const OPEN_TREE_CLONE: libc::c_uint = 1;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 4;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;
const AT_RECURSIVE: libc::c_uint = 0x8000;

/// Attributes of a mount, for [`FilesystemContext::mount`] and [`set_attributes`].
pub mod attribute {
    /// Read-only.
    pub const RDONLY: u64 = 0x1;
    /// Set-user-id bits have no effect.
    pub const NOSUID: u64 = 0x2;
    /// Device nodes cannot be opened.
    pub const NODEV: u64 = 0x4;
    /// Programs cannot be executed.
    pub const NOEXEC: u64 = 0x8;
    /// All bits of the access time setting.
    pub const ATIME_MASK: u64 = 0x70;
    /// Access times are never written.
    pub const NOATIME: u64 = 0x10;
    /// Access times are always written.
    pub const STRICTATIME: u64 = 0x20;
    /// Access times of directories are not written.
    pub const NODIRATIME: u64 = 0x80;
    /// Symbolic links are not followed.
    pub const NOSYMFOLLOW: u64 = 0x20_0000;
}

/// How a mount shares further mounts and unmounts with its peers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// It receives, but does not send.
    Slave,
    /// In both directions.
    Shared,
    /// Not at all, and it cannot be bound elsewhere.
    Unbindable,
}

impl Propagation {
    fn bits(self) -> u64 {
        match self {
            Self::Private => libc::MS_PRIVATE,
            Self::Slave => libc::MS_SLAVE,
            Self::Shared => libc::MS_SHARED,
            Self::Unbindable => libc::MS_UNBINDABLE,
        }
    }
}

/// A filesystem that is being configured and is not mounted yet.
#[derive(Debug)]
pub struct FilesystemContext {
    fd: OwnedFd,
}

impl FilesystemContext {
    /// Begins to make a filesystem of this type.
    ///
    /// # Errors
    /// Fails when the kernel does not know the type.
    pub fn open(kind: &str) -> io::Result<Self> {
        let kind = CString::new(kind)?;
        // SAFETY: fsopen wants a NUL-terminated string, which a CString is, and flags; it keeps neither.
        let result = unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) };
        Ok(Self { fd: owned(result)? })
    }

    /// Sets an option with a value.
    ///
    /// # Errors
    /// Fails when the filesystem does not know the option or refuses the value.
    pub fn set(&self, key: &str, value: &CStr) -> io::Result<()> {
        let key = CString::new(key)?;
        self.configure(FSCONFIG_SET_STRING, Some(&key), Some(value))
    }

    /// Sets an option without a value.
    ///
    /// # Errors
    /// Fails when the filesystem does not know the option.
    pub fn set_flag(&self, key: &str) -> io::Result<()> {
        let key = CString::new(key)?;
        self.configure(FSCONFIG_SET_FLAG, Some(&key), None)
    }

    /// Sets an option to an open file.
    ///
    /// # Errors
    /// Fails when the filesystem does not know the option or does not take the file.
    pub fn set_file(&self, key: &str, file: BorrowedFd<'_>) -> io::Result<()> {
        let key = CString::new(key)?;
        // SAFETY: fsconfig wants, for this command, an open descriptor (self's), a NUL-terminated string, which it
        // copies, no value, and another open descriptor, which is borrowed.
        let result = unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                self.fd.as_raw_fd(),
                FSCONFIG_SET_FD,
                key.as_ptr(),
                std::ptr::null::<libc::c_char>(),
                file.as_raw_fd(),
            )
        };
        check(result).map(drop)
    }

    /// Makes the filesystem and returns a mount of it that is attached nowhere.
    ///
    /// # Errors
    /// Fails when the filesystem refuses its options; [`Self::messages`] tells why.
    pub fn mount(&self, attributes: u64) -> io::Result<OwnedFd> {
        self.configure(FSCONFIG_CMD_CREATE, None, None)?;
        // SAFETY: fsmount takes a descriptor, which is open as long as self lives, and two numbers.
        let result = unsafe {
            libc::syscall(
                libc::SYS_fsmount,
                self.fd.as_raw_fd(),
                FSMOUNT_CLOEXEC,
                attributes,
            )
        };
        owned(result)
    }

    /// Returns what the kernel said about the last failure, or nothing.
    pub fn messages(&self) -> String {
        let mut text = String::new();
        let Ok(fd) = self.fd.try_clone() else {
            return text;
        };
        let mut file = std::fs::File::from(fd);
        let mut buffer = [0_u8; 256];
        while let Ok(n) = file.read(&mut buffer) {
            if n == 0 {
                break;
            }
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(String::from_utf8_lossy(buffer.get(..n).unwrap_or_default()).trim());
        }
        text
    }

    fn configure(
        &self,
        command: libc::c_uint,
        key: Option<&CStr>,
        value: Option<&CStr>,
    ) -> io::Result<()> {
        let key = key.map_or(std::ptr::null(), CStr::as_ptr);
        let value = value.map_or(std::ptr::null(), CStr::as_ptr);
        // SAFETY: fsconfig wants an open descriptor (self's), and for these commands NUL-terminated strings or null
        // where the command takes none; it copies them.
        let result = unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                self.fd.as_raw_fd(),
                command,
                key,
                value,
                0,
            )
        };
        check(result).map(drop)
    }
}

/// Returns a copy of the mount at `path`, attached nowhere; with everything mounted below it if `recursive`.
///
/// # Errors
/// Fails when there is no such path or the caller may not mount.
pub fn clone_mount(path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    open_tree(
        libc::AT_FDCWD,
        &c_path(path)?,
        if recursive { AT_RECURSIVE } else { 0 },
    )
}

/// Returns a copy of the mount below the file or directory `fd`, attached nowhere.
///
/// # Errors
/// Fails when the caller may not mount, or the mount belongs to another namespace.
pub fn clone_mount_at(fd: impl AsFd, recursive: bool) -> io::Result<OwnedFd> {
    let flags = libc::AT_EMPTY_PATH as libc::c_uint | if recursive { AT_RECURSIVE } else { 0 };
    open_tree(fd.as_fd().as_raw_fd(), c"", flags)
}

fn open_tree(directory: RawFd, path: &CStr, flags: libc::c_uint) -> io::Result<OwnedFd> {
    let flags = flags | OPEN_TREE_CLONE | libc::O_CLOEXEC as libc::c_uint;
    // SAFETY: open_tree wants a descriptor or AT_FDCWD, a NUL-terminated path, and flags; it keeps none of them.
    let result = unsafe { libc::syscall(libc::SYS_open_tree, directory, path.as_ptr(), flags) };
    owned(result)
}

/// Attaches a mount that is attached nowhere on top of the file or directory `target`.
///
/// # Errors
/// Fails when the target is of the wrong kind or the caller may not mount.
pub fn attach(mount: impl AsFd, target: impl AsFd) -> io::Result<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: move_mount wants two descriptors, which are borrowed and hence open, and two NUL-terminated paths.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            target.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
        )
    };
    check(result).map(drop)
}

/// Changes attributes (see [`attribute`]) of a mount, and its propagation if that is given.
///
/// # Errors
/// Fails when the kernel is older than 5.12 or the caller may not mount.
pub fn set_attributes(
    mount: BorrowedFd<'_>,
    set: u64,
    clear: u64,
    propagation: Option<Propagation>,
    recursive: bool,
) -> io::Result<()> {
    let attributes = [set, clear, propagation.map_or(0, Propagation::bits), 0];
    let flags = libc::AT_EMPTY_PATH as libc::c_uint | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: mount_setattr wants an open descriptor, a NUL-terminated path, and a pointer to a struct mount_attr (four
    // 64-bit numbers) with its size; the array has that layout and outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    check(result).map(drop)
}
