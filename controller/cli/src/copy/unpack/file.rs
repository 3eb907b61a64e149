//! One file or folder of an archive: its content, its mode, its time.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use berth_archive::{Entry, EntryKind, TarError, TarReader};
use rustix::fs::{
    FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags, fchmod, fsetxattr, futimens, mkdirat,
    mknodat, openat,
};
use rustix::io::Errno;

/// Bits that give who executes a file the rights of whom it belongs to.
const SET_ID: u32 = 0o6000;

/// Makes a file, which must not exist.
pub(super) fn write<R: BufRead>(
    directory: &OwnedFd,
    name: &OsStr,
    entry: &Entry,
    tar: &mut TarReader<R>,
) -> Result<(), TarError> {
    let failed = |errno: Errno| TarError::Write(errno.into());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory, name, flags, Mode::from_raw_mode(0o600)).map_err(failed)?;
    let mut file = File::from(file);
    fill(&mut file, entry, tar)?;
    set_xattrs(&file, entry);
    fchmod(&file, Mode::from_raw_mode(entry.mode & !SET_ID)).map_err(failed)?;
    futimens(&file, &times(entry.modified)).map_err(failed)
}

/// Makes a folder, or takes the one that is there.
pub(super) fn make_folder(
    directory: &OwnedFd,
    name: &OsStr,
    entry: &Entry,
) -> rustix::io::Result<()> {
    match mkdirat(directory, name, Mode::from_raw_mode(0o700)) {
        Err(Errno::EXIST) => {}
        made => made?,
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = openat(directory, name, flags, Mode::empty())?;
    // Whoever unpacks must be able to put files into it.
    fchmod(&folder, Mode::from_raw_mode(entry.mode | 0o700))
}

pub(super) fn make_fifo(
    directory: &OwnedFd,
    name: &OsStr,
    entry: &Entry,
) -> rustix::io::Result<()> {
    let mode = Mode::from_raw_mode(entry.mode & !SET_ID);
    mknodat(directory, name, FileType::Fifo, mode, 0)
}

fn fill<R: BufRead>(
    file: &mut File,
    entry: &Entry,
    tar: &mut TarReader<R>,
) -> Result<(), TarError> {
    let EntryKind::File { sparse: Some(map) } = &entry.kind else {
        return tar.copy(entry.size, file);
    };
    for &(offset, length) in &map.pieces {
        file.seek(SeekFrom::Start(offset))
            .map_err(TarError::Write)?;
        tar.copy(length, file)?;
    }
    file.set_len(map.real_size).map_err(TarError::Write)
}

/// Sets the users' own extended attributes where the file system allows it; a copy without them is
/// still one. The others would give the file rights (`security.capability`), or are the system's.
fn set_xattrs(file: &File, entry: &Entry) {
    for (key, value) in &entry.xattrs {
        if !key.starts_with(b"user.") {
            continue;
        }
        let key = OsString::from(OsStr::from_bytes(key));
        if let Err(error) = fsetxattr(file, &key, value, XattrFlags::empty()) {
            tracing::debug!(key = %key.display(), %error, "left out an extended attribute");
        }
    }
}

/// Returns one time for reading and writing.
pub(super) fn times(modified: Duration) -> Timestamps {
    let time = Timespec {
        tv_sec: i64::try_from(modified.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: modified.subsec_nanos().into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
