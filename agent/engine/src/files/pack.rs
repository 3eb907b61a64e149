//! Packs a part of a container's file system while its processes may change it.
//!
//! The walk holds the directories that it is in, so that no rename leads it elsewhere. What vanishes
//! before it is reached is left out; nothing but regular files is ever opened.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use berth_agent_sys::root_dir::{Attributes, Directory, NodeKind};
use berth_archive::{Holes, NewEntry, TarWriter};

use super::chunks::ChunkWriter;
use super::error::FilesError;

/// How many directories are held open: deeper trees cannot be named in one path anyway (4096 bytes).
const MAX_DEPTH: usize = 2048;

/// Extended attributes that travel: the users' own, and what gives a program its rights.
fn travels(key: &OsStr) -> bool {
    let bytes = key.as_bytes();
    let is_users = bytes.starts_with(b"user.") && !bytes.starts_with(b"user.overlay.");
    is_users || bytes == b"security.capability"
}

type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Writes members one after the other.
pub(super) struct Packer {
    tar: TarWriter<ChunkWriter>,
    /// The first name of every file that has several.
    names: HashMap<(u64, u64), Vec<u8>>,
    /// Leave holes of files out.
    sparse: bool,
}

/// A directory that the walk is in.
struct Frame {
    directory: Directory,
    names: std::vec::IntoIter<OsString>,
    /// How long the path of the directory is, with its slash.
    length: usize,
    device: u64,
}

// === impl Packer ===

impl Packer {
    pub(super) fn new(writer: ChunkWriter, sparse: bool) -> Self {
        Self {
            tar: TarWriter::new(writer),
            names: HashMap::new(),
            sparse,
        }
    }

    /// Writes a directory with everything below it. Its own member is called `prefix`, and so begin
    /// the names of the others; without one it has no member.
    pub(super) fn tree(&mut self, directory: Directory, prefix: &[u8]) -> Result<(), FilesError> {
        let mut path = prefix.to_vec();
        if !path.is_empty() {
            self.directory(&directory, &path)
                .map_err(|e| failed(&path, e))?;
        }
        let top = frame(directory, path.len()).map_err(|e| failed(&path, e))?;
        let mut stack = vec![top];
        while let Some(at) = stack.last_mut() {
            let Some(name) = at.names.next() else {
                stack.pop();
                continue;
            };
            path.truncate(at.length);
            path.extend_from_slice(name.as_bytes());
            let device = at.device;
            let child = match self.member(&at.directory, &name, &mut path) {
                Err(error) if has_changed(&error) => continue,
                result => result.map_err(|e| failed(&path, e))?,
            };
            let Some(child) = child else {
                continue;
            };
            let child = frame(child, path.len()).map_err(|e| failed(&path, e))?;
            let is_kernels = child.device != device
                && child.directory.is_kernels().map_err(|e| failed(&path, e))?;
            if is_kernels {
                continue;
            }
            if stack.len() >= MAX_DEPTH {
                let error = io::Error::other("too many directories in one another");
                return Err(failed(&path, error));
            }
            stack.push(child);
        }
        Ok(())
    }

    /// Writes a directory without what is in it.
    pub(super) fn empty(&mut self, directory: &Directory, path: &[u8]) -> Result<(), FilesError> {
        self.directory(directory, path).map_err(|e| failed(path, e))
    }

    /// Writes one member that is no directory.
    pub(super) fn single(
        &mut self,
        parent: &Directory,
        name: &OsStr,
        as_name: &OsStr,
    ) -> Result<(), FilesError> {
        let mut path = as_name.as_bytes().to_vec();
        let written = self.member(parent, name, &mut path);
        written.map(drop).map_err(|e| failed(&path, e))
    }

    /// Ends the archive.
    pub(super) fn finish(self) -> Result<(), FilesError> {
        let finished = self.tar.finish().and_then(|mut writer| {
            use std::io::Write as _;
            writer.flush()
        });
        finished.map_err(|e| failed(b"", e))
    }

    /// Writes what has a name; returns the directory to go on in, whose path then ends in a slash.
    fn member(
        &mut self,
        parent: &Directory,
        name: &OsStr,
        path: &mut Vec<u8>,
    ) -> io::Result<Option<Directory>> {
        let attributes = parent.attributes(name)?;
        if attributes.kind == NodeKind::Directory {
            let directory = parent.open_dir(name)?;
            path.push(b'/');
            self.directory(&directory, path)?;
            return Ok(Some(directory));
        }
        if attributes.kind == NodeKind::Socket {
            tracing::debug!(name = %name.display(), "left out a socket, which archives cannot hold");
            return Ok(None);
        }
        if attributes.n_links > 1
            && let Some(first) = self.names.get(&attributes.identity)
        {
            let entry = NewEntry {
                link: first,
                ..new_entry(path, b'1', &attributes, &[])
            };
            self.tar.entry(&entry)?;
            return Ok(None);
        }
        let xattrs = xattrs(&parent.xattr_keys(name)?, |key| parent.xattr(name, key))?;
        let entry = |kind| new_entry(path, kind, &attributes, &xattrs);
        match attributes.kind {
            NodeKind::File => self.file(parent, name, path, &xattrs)?,
            NodeKind::Symlink => self.tar.entry(&NewEntry {
                link: parent.read_link(name)?.as_bytes(),
                ..entry(b'2')
            })?,
            NodeKind::CharacterDevice | NodeKind::BlockDevice => {
                let is_block = attributes.kind == NodeKind::BlockDevice;
                self.tar.entry(&NewEntry {
                    device: attributes.device,
                    ..entry(if is_block { b'4' } else { b'3' })
                })?;
            }
            NodeKind::Fifo => self.tar.entry(&entry(b'6'))?,
            NodeKind::Directory | NodeKind::Socket => {}
        }
        if attributes.n_links > 1 {
            self.names.insert(attributes.identity, path.clone());
        }
        Ok(None)
    }

    fn file(
        &mut self,
        parent: &Directory,
        name: &OsStr,
        path: &[u8],
        xattrs: &Xattrs,
    ) -> io::Result<()> {
        let (mut file, found) = parent.open_regular(name)?;
        let entry = NewEntry {
            size: found.size,
            ..new_entry(path, b'0', &found, xattrs)
        };
        let holes = if self.sparse {
            Holes::of(&file, found.size, found.allocated_bytes)?
        } else {
            None
        };
        let Some(holes) = holes else {
            self.tar.entry(&entry)?;
            self.tar.get_mut().copy(&mut file, found.size)?;
            return self.tar.pad(found.size);
        };
        self.tar.sparse_entry(&entry, &holes)?;
        for &(offset, length) in &holes.pieces {
            io::Seek::seek(&mut file, io::SeekFrom::Start(offset))?;
            self.tar.get_mut().copy(&mut file, length)?;
        }
        self.tar.pad(holes.stored())
    }

    fn directory(&mut self, directory: &Directory, path: &[u8]) -> io::Result<()> {
        let attributes = directory.own_attributes()?;
        let keys = directory.own_xattr_keys()?;
        let xattrs = xattrs(&keys, |key| directory.own_xattr(key))?;
        self.tar.entry(&new_entry(path, b'5', &attributes, &xattrs))
    }
}

fn frame(directory: Directory, length: usize) -> io::Result<Frame> {
    let device = directory.own_attributes()?.identity.0;
    let names = directory.names()?.into_iter();
    Ok(Frame {
        directory,
        names,
        length,
        device,
    })
}

fn new_entry<'a>(
    path: &'a [u8],
    kind: u8,
    attributes: &Attributes,
    xattrs: &'a [(Vec<u8>, Vec<u8>)],
) -> NewEntry<'a> {
    NewEntry {
        path,
        kind,
        mode: attributes.mode,
        uid: attributes.uid,
        gid: attributes.gid,
        modified_seconds: attributes.modified.as_secs(),
        xattrs,
        ..NewEntry::default()
    }
}

fn xattrs(
    keys: &[OsString],
    get: impl Fn(&OsStr) -> io::Result<Option<Vec<u8>>>,
) -> io::Result<Xattrs> {
    let mut found = Vec::new();
    for key in keys.iter().filter(|key| travels(key)) {
        if let Some(value) = get(key)? {
            found.push((key.as_bytes().to_vec(), value));
        }
    }
    Ok(found)
}

/// Tells whether a name is gone, or stands for something else by now. Until that is known, nothing
/// about it has been written.
fn has_changed(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | InvalidInput | NotADirectory)
        || error.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32)
}

fn failed(path: &[u8], error: io::Error) -> FilesError {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return FilesError::ReceiverGone;
    }
    FilesError::read(PathBuf::from(Path::new(OsStr::from_bytes(path))), error)
}
