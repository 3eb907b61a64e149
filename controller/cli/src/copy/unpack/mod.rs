//! Unpacks what an agent sends, which may be hostile: nothing outside of what was asked for is made,
//! changed or removed.
//!
//! Names are taken apart into their parts, and every folder on the way is opened from the one before
//! it without following links. So neither `..` nor an absolute name nor a link that the archive brought
//! (or somebody makes meanwhile) leads elsewhere.
//!
//! Files belong to whoever unpacks them, so what a container says of rights does not hold here: a
//! set-user-id bit would give the container's program the rights of this user.

mod file;

use std::ffi::OsStr;
use std::io::{self, BufRead};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_archive::{Entry, EntryKind, TarError, TarReader, clean};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, futimens, linkat, mkdirat, openat, statat, symlinkat,
    unlinkat, utimensat,
};
use rustix::io::Errno;

use crate::ui::quote;

/// Whose members an archive may have, and what they are called here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Members {
    /// What every name in the archive begins with: a name, `.` or `/`.
    pub(crate) base: String,
    /// What takes its place; `None`: nothing does.
    pub(crate) name: Option<String>,
}

/// Something cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    #[error("cannot overwrite directory {} with non-directory {}", quoted(.0), quoted(.1))]
    OverFolder(PathBuf, PathBuf),
    #[error("cannot overwrite non-directory {} with directory {}", quoted(.0), quoted(.1))]
    OverOther(PathBuf, PathBuf),
    #[error("the agent sent {}, which was not asked for", quoted(.0))]
    Foreign(PathBuf),
    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot read the archive")]
    Archive(#[source] TarError),
}

fn quoted(path: &Path) -> String {
    quote::quoted(&path.to_string_lossy())
}

/// Unpacks an archive into the existing folder `folder`. Returns what was left out: devices, which
/// would be the machine's here, and what is of no known kind.
pub(crate) fn unpack(
    reader: impl BufRead,
    folder: &str,
    members: &Members,
) -> Result<Vec<PathBuf>, UnpackError> {
    let path = PathBuf::from(folder);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, &path, flags, Mode::empty()).map_err(|e| failed(&path, e))?;
    let mut unpacker = Unpacker {
        root,
        folder: path,
        members,
        times: Vec::new(),
        left_out: Vec::new(),
    };
    let mut tar = TarReader::new(reader);
    while let Some(entry) = tar.next().map_err(UnpackError::Archive)? {
        unpacker.member(&entry, &mut tar)?;
    }
    unpacker.finish()
}

struct Unpacker<'a> {
    root: OwnedFd,
    folder: PathBuf,
    members: &'a Members,
    /// Times of folders are set last, for making files changes them.
    times: Vec<(PathBuf, Duration)>,
    left_out: Vec<PathBuf>,
}

impl Unpacker<'_> {
    fn member<R: BufRead>(
        &mut self,
        entry: &Entry,
        tar: &mut TarReader<R>,
    ) -> Result<(), UnpackError> {
        let path = self.place(&entry.path)?;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            // The folder itself, which is there.
            return Ok(());
        };
        let fail = |source| failed(&self.folder.join(&path), source);
        if matches!(
            entry.kind,
            EntryKind::CharacterDevice | EntryKind::BlockDevice | EntryKind::Unknown(_)
        ) {
            self.left_out.push(self.folder.join(&path));
            return Ok(());
        }
        let directory = self.open(parent).map_err(fail)?;
        self.make_room(&directory, name, &path, entry)?;
        match &entry.kind {
            EntryKind::Directory => {
                file::make_folder(&directory, name, entry).map_err(fail)?;
                self.times.push((path, entry.modified));
                return Ok(());
            }
            EntryKind::File { .. } => return self.file(&directory, name, &path, entry, tar),
            EntryKind::HardLink => return self.hard_link(&directory, name, &path, entry),
            EntryKind::Symlink => {
                symlinkat(OsStr::from_bytes(&entry.link), &directory, name).map_err(fail)?;
            }
            EntryKind::Fifo => file::make_fifo(&directory, name, entry).map_err(fail)?,
            // Left out above.
            EntryKind::CharacterDevice | EntryKind::BlockDevice | EntryKind::Unknown(_) => {
                return Ok(());
            }
        }
        let times = file::times(entry.modified);
        utimensat(&directory, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(fail)
    }

    /// Returns where a member goes, relative to the folder.
    fn place(&self, name: &[u8]) -> Result<PathBuf, UnpackError> {
        let cleaned = clean(name);
        let base = &self.members.base;
        let is_named = base != "." && base != "/";
        let rest = if is_named {
            let rest = cleaned.strip_prefix(base);
            rest.map_err(|_foreign| UnpackError::Foreign(cleaned.clone()))?
        } else {
            &cleaned
        };
        let mut path = PathBuf::new();
        if let Some(name) = &self.members.name {
            path.push(name);
        } else if is_named {
            path.push(base);
        }
        // Joining nothing would add a slash.
        path.extend(rest);
        Ok(path)
    }

    /// Opens a folder below ours; no part of the way may be a link. What is missing is made.
    fn open(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut directory = openat(&self.root, ".", flags, Mode::empty())?;
        for part in path {
            directory = match openat(&directory, part, flags, Mode::empty()) {
                Err(Errno::NOENT) => {
                    mkdirat(&directory, part, Mode::from_raw_mode(0o755))?;
                    openat(&directory, part, flags, Mode::empty())?
                }
                opened => opened?,
            };
        }
        Ok(directory)
    }

    /// Removes what is in the way, which must not change a folder into something else or the other
    /// way round.
    fn make_room(
        &self,
        directory: &OwnedFd,
        name: &OsStr,
        path: &Path,
        entry: &Entry,
    ) -> Result<(), UnpackError> {
        let found = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            found => found.map_err(|e| failed(&self.folder.join(path), e))?,
        };
        let is_folder = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
        match (is_folder, entry.kind == EntryKind::Directory) {
            (true, true) => Ok(()),
            (true, false) => Err(UnpackError::OverFolder(
                self.folder.join(path),
                self.folder.clone(),
            )),
            (false, true) => Err(UnpackError::OverOther(
                self.folder.join(path),
                self.folder.clone(),
            )),
            (false, false) => unlinkat(directory, name, AtFlags::empty())
                .map_err(|e| failed(&self.folder.join(path), e)),
        }
    }

    fn file<R: BufRead>(
        &self,
        directory: &OwnedFd,
        name: &OsStr,
        path: &Path,
        entry: &Entry,
        tar: &mut TarReader<R>,
    ) -> Result<(), UnpackError> {
        file::write(directory, name, entry, tar).map_err(|error| match error {
            TarError::Write(source) => UnpackError::Write {
                path: self.folder.join(path),
                source,
            },
            error => UnpackError::Archive(error),
        })
    }

    fn hard_link(
        &self,
        directory: &OwnedFd,
        name: &OsStr,
        path: &Path,
        entry: &Entry,
    ) -> Result<(), UnpackError> {
        let fail = |source| failed(&self.folder.join(path), source);
        let target = self.place(&entry.link)?;
        let (Some(parent), Some(original)) = (target.parent(), target.file_name()) else {
            return Err(fail(Errno::INVAL));
        };
        let parent = self.open(parent).map_err(fail)?;
        linkat(&parent, original, directory, name, AtFlags::empty()).map_err(fail)
    }

    fn finish(self) -> Result<Vec<PathBuf>, UnpackError> {
        // From the deepest to the top, as that is how making things changed them.
        for (path, modified) in self.times.iter().rev() {
            let fail = |source| failed(&self.folder.join(path), source);
            let directory = self.open(path).map_err(fail)?;
            futimens(&directory, &file::times(*modified)).map_err(fail)?;
        }
        Ok(self.left_out)
    }
}

fn failed(path: &Path, source: Errno) -> UnpackError {
    UnpackError::Write {
        path: path.to_owned(),
        source: source.into(),
    }
}

#[cfg(test)]
mod tests;
