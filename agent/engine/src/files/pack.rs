//! Packs a part of a container's file system while its processes may change it.
//!
//! What vanishes before it is reached is left out; nothing but regular files is ever opened.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use berth_agent_sys::root_dir::{Attributes, Directory, NodeKind};
use berth_archive::{Holes, NewEntry, TarWriter};

use super::chunks::ChunkWriter;
use super::error::FilesError;
use super::walk::Walk;

/// How many bytes the noted names of files that have several may take: how many there are, and how long
/// they are, is the container's choice. Files beyond that are packed as if they had one name each.
const ROOM_FOR_NAMES: usize = 32 * 1024 * 1024;

/// What a noted name takes besides its bytes, about.
const OF_A_NAME: usize = 64;

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
    room_for_names: usize,
    /// Leave holes of files out.
    sparse: bool,
}

// === impl Packer ===

impl Packer {
    pub(super) fn new(writer: ChunkWriter, sparse: bool) -> Self {
        Self {
            tar: TarWriter::new(writer),
            names: HashMap::new(),
            room_for_names: ROOM_FOR_NAMES,
            sparse,
        }
    }

    /// Writes a directory with everything below it. Its own member is called `prefix`, and so begin
    /// the names of the others; without one it has no member.
    pub(super) fn tree(&mut self, directory: Directory, prefix: &[u8]) -> Result<(), FilesError> {
        if !prefix.is_empty() {
            self.directory(&directory, prefix)
                .map_err(|e| failed(prefix, e))?;
        }
        let mut walk = Walk::new(directory, prefix).map_err(|e| failed(prefix, e))?;
        loop {
            match self.step(&mut walk) {
                Err(error) if has_changed(&error) => {}
                Err(error) => return Err(failed(walk.path(), error)),
                Ok(true) => {}
                Ok(false) => return Ok(()),
            }
        }
    }

    /// Writes the next member of a tree; returns false at the end.
    fn step(&mut self, walk: &mut Walk) -> io::Result<bool> {
        let Some(name) = walk.next()? else {
            return Ok(false);
        };
        let Some((directory, device, path)) = walk.at() else {
            return Ok(true);
        };
        let Some(child) = self.member(directory, &name, path)? else {
            return Ok(true);
        };
        let is_other = child.own_attributes()?.identity.0 != device;
        if !is_other || !child.is_kernels()? {
            walk.enter(child)?;
        }
        Ok(true)
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
        if attributes.n_links > 1
            && let Some(left) = self.room_for_names.checked_sub(path.len() + OF_A_NAME)
        {
            self.room_for_names = left;
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use berth_archive::{EntryKind, TarReader};

    use super::super::chunks::produce;
    use super::super::places::Copies;
    use super::super::view::View;
    use super::*;

    /// Kinds of the members when a folder is packed with that much room for names.
    async fn packed(folder: &Path, room_for_names: usize) -> BTreeMap<String, EntryKind> {
        let view = View::of_folder(folder).await;
        let place = Copies::default().place().await;
        let begin = move || {
            let write = move |view: &View, writer| {
                let mut packer = Packer::new(writer, false);
                packer.room_for_names = room_for_names;
                packer.tree(view.root().root().expect("root"), b"")?;
                packer.finish()
            };
            Ok((view, (), write))
        };
        let ((), mut chunks) = produce(place, begin).await.expect("a thread");
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.next().await.expect("packed") {
            bytes.extend(chunk);
        }
        let mut kinds = BTreeMap::new();
        let mut archive = TarReader::new(&bytes[..]);
        while let Some(entry) = archive.next().expect("archive") {
            let path = String::from_utf8_lossy(&entry.path).into_owned();
            kinds.insert(path, entry.kind);
        }
        kinds
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn files_with_several_names_are_packed_once_as_long_as_there_is_room_to_note_it() {
        let temp = tempfile::tempdir().expect("temporary directory");
        for file in ["a", "c"] {
            fs::write(temp.path().join(file), "text").expect("file");
            let second = temp.path().join(format!("{file}2"));
            fs::hard_link(temp.path().join(file), second).expect("link");
        }
        let links = |kinds: BTreeMap<String, EntryKind>| -> Vec<String> {
            kinds
                .into_iter()
                .filter(|(_, kind)| *kind == EntryKind::HardLink)
                .map(|(path, _)| path)
                .collect()
        };
        let all = packed(temp.path(), ROOM_FOR_NAMES).await;
        assert_eq!(all.len(), 4);
        assert_eq!(links(all), ["a2", "c2"]);
        let some = packed(temp.path(), OF_A_NAME + 1).await;
        assert_eq!(some.len(), 4);
        assert_eq!(links(some), ["a2"]);
    }
}
