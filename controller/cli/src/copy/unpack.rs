//! Unpacks what an agent sends, which may be hostile: nothing outside of what was asked for is made,
//! changed or removed.
//!
//! Names are taken apart into their parts, and every folder on the way is opened from the one before
//! it without following links. So neither `..` nor an absolute name nor a link that the archive brought
//! (or somebody makes meanwhile) leads elsewhere. Files belong to whoever unpacks them.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_archive::{Entry, EntryKind, TarError, TarReader, clean};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags, fchmod, fsetxattr,
    futimens, linkat, makedev, mkdirat, mknodat, openat, statat, symlinkat, unlinkat, utimensat,
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

/// Unpacks an archive into the existing folder `folder`. Returns what could not be made here: device
/// nodes, without the right to.
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
        let directory = self.open(parent).map_err(fail)?;
        self.make_room(&directory, name, &path, entry)?;
        match &entry.kind {
            EntryKind::Directory => {
                make_folder(&directory, name, entry).map_err(fail)?;
                self.times.push((path, entry.modified));
                return Ok(());
            }
            EntryKind::File { .. } => return self.file(&directory, name, &path, entry, tar),
            EntryKind::HardLink => return self.hard_link(&directory, name, &path, entry),
            EntryKind::Symlink => {
                symlinkat(OsStr::from_bytes(&entry.link), &directory, name).map_err(fail)?;
            }
            EntryKind::Fifo => node(&directory, name, FileType::Fifo, entry).map_err(fail)?,
            EntryKind::CharacterDevice | EntryKind::BlockDevice => {
                let kind = if entry.kind == EntryKind::BlockDevice {
                    FileType::BlockDevice
                } else {
                    FileType::CharacterDevice
                };
                match node(&directory, name, kind, entry) {
                    Err(Errno::PERM) => {
                        self.left_out.push(self.folder.join(&path));
                        return Ok(());
                    }
                    made => made.map_err(fail)?,
                }
            }
            EntryKind::Unknown(_) => {
                self.left_out.push(self.folder.join(&path));
                return Ok(());
            }
        }
        let times = times(entry.modified);
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
        let whole = self.folder.join(path);
        let fail = |source| failed(&whole, source);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(directory, name, flags, Mode::from_raw_mode(0o600)).map_err(fail)?;
        let mut file = File::from(file);
        fill(&mut file, entry, tar).map_err(|error| match error {
            TarError::Write(source) => UnpackError::Write {
                path: whole.clone(),
                source,
            },
            error => UnpackError::Archive(error),
        })?;
        set_xattrs(&file, entry);
        fchmod(&file, Mode::from_raw_mode(entry.mode)).map_err(fail)?;
        futimens(&file, &times(entry.modified)).map_err(fail)
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
            futimens(&directory, &times(*modified)).map_err(fail)?;
        }
        Ok(self.left_out)
    }
}

fn make_folder(directory: &OwnedFd, name: &OsStr, entry: &Entry) -> rustix::io::Result<()> {
    match mkdirat(directory, name, Mode::from_raw_mode(0o700)) {
        Err(Errno::EXIST) => {}
        made => made?,
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = openat(directory, name, flags, Mode::empty())?;
    // Whoever unpacks must be able to put files into it.
    fchmod(&folder, Mode::from_raw_mode(entry.mode | 0o700))
}

fn node(
    directory: &OwnedFd,
    name: &OsStr,
    kind: FileType,
    entry: &Entry,
) -> rustix::io::Result<()> {
    let mode = Mode::from_raw_mode(entry.mode);
    let device = makedev(entry.device.0, entry.device.1);
    mknodat(directory, name, kind, mode, device)
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

/// Sets extended attributes where the file system and our rights allow it; a copy without them is
/// still one.
fn set_xattrs(file: &File, entry: &Entry) {
    for (key, value) in &entry.xattrs {
        let key = OsString::from(OsStr::from_bytes(key));
        if let Err(error) = fsetxattr(file, &key, value, XattrFlags::empty()) {
            tracing::debug!(key = %key.display(), %error, "left out an extended attribute");
        }
    }
}

fn times(modified: Duration) -> Timestamps {
    let time = Timespec {
        tv_sec: i64::try_from(modified.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: modified.subsec_nanos().into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

fn failed(path: &Path, source: Errno) -> UnpackError {
    UnpackError::Write {
        path: path.to_owned(),
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use berth_archive::{NewEntry, TarWriter};

    use super::*;

    fn archive(members: &[(u8, &str, &str)]) -> Vec<u8> {
        let mut writer = TarWriter::new(Vec::new());
        for (kind, path, rest) in members {
            let is_file = *kind == b'0';
            let entry = NewEntry {
                path: path.as_bytes(),
                link: if is_file { b"" } else { rest.as_bytes() },
                kind: *kind,
                mode: 0o755,
                size: if is_file { rest.len() as u64 } else { 0 },
                modified_seconds: 1_000,
                ..NewEntry::default()
            };
            writer.entry(&entry).unwrap();
            if is_file {
                writer
                    .data(rest.len() as u64, &mut rest.as_bytes())
                    .unwrap();
            }
        }
        writer.finish().unwrap()
    }

    /// Unpacks into `target` of a folder that has a file `outside`, which must stay as it is.
    fn unpacked(
        members: &[(u8, &str, &str)],
        base: &str,
        name: Option<&str>,
    ) -> (tempfile::TempDir, Result<Vec<PathBuf>, UnpackError>) {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("target")).unwrap();
        fs::write(place.path().join("outside"), "secret").unwrap();
        fs::set_permissions(
            place.path().join("outside"),
            fs::Permissions::from_mode(0o600),
        )
        .unwrap();
        let asked = Members {
            base: base.to_owned(),
            name: name.map(str::to_owned),
        };
        let folder = place.path().join("target").to_string_lossy().into_owned();
        let result = unpack(&archive(members)[..], &folder, &asked);
        let outside = fs::metadata(place.path().join("outside")).unwrap();
        assert_eq!((outside.nlink(), outside.mode() & 0o777), (1, 0o600));
        let text = fs::read_to_string(place.path().join("outside")).unwrap();
        assert_eq!(text, "secret");
        let n_names = fs::read_dir(place.path()).unwrap().count();
        assert_eq!(n_names, 2);
        (place, result)
    }

    #[test]
    fn members_get_their_new_name_and_keep_modes_and_times() {
        let members = [
            (b'5', "old/", ""),
            (b'0', "old/file", "text"),
            (b'1', "old/second", "old/file"),
            (b'2', "old/link", "/anywhere"),
        ];
        let (place, result) = unpacked(&members, "old", Some("new"));
        assert_eq!(result.unwrap(), Vec::<PathBuf>::new());
        let at = |name: &str| place.path().join("target/new").join(name);
        assert_eq!(fs::read_to_string(at("file")).unwrap(), "text");
        let file = fs::metadata(at("file")).unwrap();
        assert_eq!(
            (file.nlink(), file.mtime(), file.mode() & 0o777),
            (2, 1_000, 0o755)
        );
        assert_eq!(fs::metadata(at("")).unwrap().mtime(), 1_000);
        assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("/anywhere"));
    }

    #[test]
    fn what_was_not_asked_for_is_refused() {
        for name in ["other", "../outside", "/outside", "f/../other"] {
            let (_place, result) = unpacked(&[(b'0', name, "x")], "f", None);
            assert!(matches!(result, Err(UnpackError::Foreign(_))), "{name}");
        }
    }

    #[test]
    fn no_link_of_the_archive_leads_out() {
        for target in ["..", "/", "../../"] {
            let members = [(b'2', "d/l", target), (b'0', "d/l/outside", "overwritten")];
            let (_place, result) = unpacked(&members, "d", None);
            assert!(matches!(result, Err(UnpackError::Write { .. })), "{target}");
        }
        let members = [(b'2', "d", "../outside"), (b'0', "d", "replaced")];
        let (place, result) = unpacked(&members, "d", None);
        result.unwrap();
        let text = fs::read_to_string(place.path().join("target/d")).unwrap();
        assert_eq!(text, "replaced");
    }

    #[test]
    fn no_hard_link_reaches_out() {
        for target in ["d/../../outside", "../outside", "/outside", "d/l/outside"] {
            let members = [(b'2', "d/l", ".."), (b'1', "d/h", target)];
            let (_place, result) = unpacked(&members, "d", None);
            assert!(result.is_err(), "{target}");
        }
    }

    #[test]
    fn a_link_that_is_there_already_is_not_followed_but_replaced() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("outside"), "secret").unwrap();
        fs::create_dir(place.path().join("target")).unwrap();
        symlink("../outside", place.path().join("target/f")).unwrap();
        let asked = Members {
            base: "f".to_owned(),
            name: None,
        };
        let folder = place.path().join("target").to_string_lossy().into_owned();
        unpack(&archive(&[(b'0', "f", "new")])[..], &folder, &asked).unwrap();
        let read = |name: &str| fs::read_to_string(place.path().join(name)).unwrap();
        assert_eq!(
            (read("outside"), read("target/f")),
            ("secret".into(), "new".into())
        );
    }

    #[test]
    fn folders_and_files_do_not_replace_each_other() {
        let members = [(b'5', "d/x/", ""), (b'0', "d/x", "file")];
        let (_place, result) = unpacked(&members, "d", None);
        assert!(matches!(result, Err(UnpackError::OverFolder(..))));
        let members = [(b'0', "d/x", "file"), (b'5', "d/x/", "")];
        let (_place, result) = unpacked(&members, "d", None);
        assert!(matches!(result, Err(UnpackError::OverOther(..))));
    }
}
