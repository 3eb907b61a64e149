//! Packs local files for a container. Links are packed as links, files with several names once.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use berth_archive::{Holes, NewEntry, TarWriter};
use rustix::fs::{lgetxattr, llistxattr};

use super::stream::ArchiveWriter;

/// The longest list of extended attributes, and the longest attribute, that Linux has.
const LONGEST_XATTR: usize = 64 * 1024;

/// Something cannot be packed.
#[derive(Debug, thiserror::Error)]
#[error("{}", path.display())]
pub(crate) struct PackError {
    path: PathBuf,
    #[source]
    pub(crate) source: io::Error,
}

/// Writes the file or folder at `path` as an archive whose members' names begin with `name`, and
/// returns how many bytes that are.
pub(crate) fn pack(path: &Path, name: &str, writer: ArchiveWriter) -> Result<u64, PackError> {
    let mut packer = Packer {
        tar: TarWriter::new(writer),
        names: HashMap::new(),
    };
    packer.visit(path, name.as_bytes())?;
    let finished = packer.tar.finish().and_then(|mut writer| {
        writer.flush()?;
        Ok(writer.sent())
    });
    finished.map_err(|source| PackError {
        path: path.to_owned(),
        source,
    })
}

struct Packer {
    tar: TarWriter<ArchiveWriter>,
    /// The first name of every file that has several.
    names: HashMap<(u64, u64), Vec<u8>>,
}

impl Packer {
    fn visit(&mut self, path: &Path, name: &[u8]) -> Result<(), PackError> {
        // Paths to visit with their names in the archive, the next one last.
        let mut stack = vec![(path.to_owned(), name.to_vec())];
        while let Some((path, mut name)) = stack.pop() {
            let children = match self.member(&path, &mut name) {
                // It vanished since its folder was read; the first one must exist.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !name.is_empty() => {
                    continue;
                }
                children => children.map_err(|source| PackError {
                    path: path.clone(),
                    source,
                })?,
            };
            for child in children.into_iter().rev() {
                let below = [&name, child.as_bytes()].concat();
                stack.push((path.join(child), below));
            }
        }
        Ok(())
    }

    /// Writes one member and returns the names below it, to which `name` is the beginning then.
    fn member(&mut self, path: &Path, name: &mut Vec<u8>) -> io::Result<Vec<std::ffi::OsString>> {
        let metadata = fs::symlink_metadata(path)?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            let mut names = fs::read_dir(path)?
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect::<io::Result<Vec<_>>>()?;
            names.sort_unstable();
            if name != b"/" {
                name.push(b'/');
            }
            let xattrs = xattrs(path);
            self.tar.entry(&new_entry(name, b'5', &metadata, &xattrs))?;
            return Ok(names);
        }
        if kind.is_socket() {
            return Ok(Vec::new());
        }
        let identity = (metadata.dev(), metadata.ino());
        if metadata.nlink() > 1
            && let Some(first) = self.names.get(&identity)
        {
            self.tar.entry(&NewEntry {
                link: first,
                ..new_entry(name, b'1', &metadata, &[])
            })?;
            return Ok(Vec::new());
        }
        let xattrs = xattrs(path);
        if kind.is_file() {
            self.file(path, name, &xattrs)?;
        } else if kind.is_symlink() {
            let link = fs::read_link(path)?;
            self.tar.entry(&NewEntry {
                link: link.as_os_str().as_bytes(),
                ..new_entry(name, b'2', &metadata, &xattrs)
            })?;
        } else if kind.is_fifo() {
            self.tar.entry(&new_entry(name, b'6', &metadata, &xattrs))?;
        } else {
            let letter = if kind.is_block_device() { b'4' } else { b'3' };
            let device = metadata.rdev();
            self.tar.entry(&NewEntry {
                device: (rustix::fs::major(device), rustix::fs::minor(device)),
                ..new_entry(name, letter, &metadata, &xattrs)
            })?;
        }
        if metadata.nlink() > 1 {
            self.names.insert(identity, name.clone());
        }
        Ok(Vec::new())
    }

    fn file(&mut self, path: &Path, name: &[u8], xattrs: &[(Vec<u8>, Vec<u8>)]) -> io::Result<()> {
        // Should it have become a fifo, nobody waits for its other end.
        let no_wait = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let mut file = File::options()
            .read(true)
            .custom_flags(no_wait)
            .open(path)?;
        let metadata = file.metadata()?;
        let size = metadata.len();
        let entry = NewEntry {
            size,
            ..new_entry(name, b'0', &metadata, xattrs)
        };
        let Some(holes) = Holes::of(&file, size, metadata.blocks() * 512)? else {
            self.tar.entry(&entry)?;
            self.tar.get_mut().copy(&mut file, size)?;
            return self.tar.pad(size);
        };
        self.tar.sparse_entry(&entry, &holes)?;
        for &(offset, length) in &holes.pieces {
            file.seek(SeekFrom::Start(offset))?;
            self.tar.get_mut().copy(&mut file, length)?;
        }
        self.tar.pad(holes.stored())
    }
}

fn new_entry<'a>(
    path: &'a [u8],
    kind: u8,
    metadata: &Metadata,
    xattrs: &'a [(Vec<u8>, Vec<u8>)],
) -> NewEntry<'a> {
    NewEntry {
        path,
        kind,
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        modified_seconds: u64::try_from(metadata.mtime()).unwrap_or(0),
        xattrs,
        ..NewEntry::default()
    }
}

/// Returns the users' own extended attributes, and what gives a program its rights. What cannot be
/// read is as good as not there.
fn xattrs(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut list = vec![0; LONGEST_XATTR];
    let Ok(length) = llistxattr(path, &mut list) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for key in list[..length].split(|byte| *byte == 0) {
        if !key.starts_with(b"user.") && key != b"security.capability" {
            continue;
        }
        let mut value = vec![0; LONGEST_XATTR];
        if let Ok(length) = lgetxattr(path, OsStr::from_bytes(key), &mut value) {
            value.truncate(length);
            found.push((key.to_vec(), value));
        }
    }
    found
}
