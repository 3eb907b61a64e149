//! What `stat` tells about a name in a [`Directory`](super::Directory).

use std::time::Duration;

use nix::libc;
use nix::sys::stat::{FileStat, SFlag};

/// The unit of `st_blocks`, whatever the filesystem's block size is.
const BLOCK: u64 = 512;

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
