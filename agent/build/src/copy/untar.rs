//! Unpacks tar streams into a tree without ever leaving it.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use berth_agent_sys::root_dir::{Attributes, Directory, NodeKind, RootDir};
use tar::{Archive, Entry, EntryType};

use super::node::{Finish, special, write_file};
use super::{Owner, UntarError};

/// Which entries are welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nodes {
    /// Files, directories, links and fifos, as the sender of a context makes them.
    Plain,
    /// Devices too.
    All,
}

/// Unpacks a stream below `base` inside of `root`. Links, those in the archive included, are
/// followed inside of the root only. With `owner`, everything belongs to that one.
pub(crate) fn untar(
    stream: impl Read,
    root: &RootDir,
    base: &Path,
    nodes: Nodes,
    owner: Option<Owner>,
) -> Result<(), UntarError> {
    let mut archive = Archive::new(stream);
    let mut unpacker = Unpacker {
        root,
        base,
        nodes,
        owner,
        directories: Vec::new(),
    };
    for entry in archive.entries().map_err(UntarError::Read)? {
        unpacker.entry(entry.map_err(UntarError::Read)?)?;
    }
    unpacker.finish()
}

struct Unpacker<'a> {
    root: &'a RootDir,
    base: &'a Path,
    nodes: Nodes,
    owner: Option<Owner>,
    /// Directories get their times at the end, as unpacking into them changes those.
    directories: Vec<(PathBuf, Duration)>,
}

/// What the header of an entry says.
struct Meta {
    path: PathBuf,
    finish: Finish,
}

// === impl Unpacker ===

impl Unpacker<'_> {
    fn entry<R: Read>(&mut self, mut entry: Entry<'_, R>) -> Result<(), UntarError> {
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        let name = entry.path_bytes().into_owned();
        let shown = String::from_utf8_lossy(&name).into_owned();
        let Some(path) = inside(&name).ok_or_else(|| UntarError::Outside(shown.clone()))? else {
            return Ok(());
        };
        let meta = self.meta(&entry, path).map_err(UntarError::Read)?;
        let xattrs = self.xattrs(&mut entry).map_err(UntarError::Read)?;
        let outcome = match kind {
            EntryType::Directory => self.directory(&meta),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(&meta, &mut entry)
            }
            EntryType::Symlink => self.symlink(&meta, entry.link_name_bytes().as_deref()),
            EntryType::Link => {
                let target = entry
                    .link_name_bytes()
                    .and_then(|name| inside(&name).flatten());
                let target = target.ok_or_else(|| UntarError::Outside(shown.clone()))?;
                self.hard_link(&meta, &target)
            }
            EntryType::Fifo => self.special(&meta, NodeKind::Fifo, (0, 0)),
            EntryType::Char | EntryType::Block if self.nodes == Nodes::All => {
                let kind = if kind == EntryType::Char {
                    NodeKind::CharacterDevice
                } else {
                    NodeKind::BlockDevice
                };
                self.special(&meta, kind, device(&entry).map_err(UntarError::Read)?)
            }
            _ => return Err(UntarError::Kind(shown)),
        };
        let outcome = outcome.and_then(|()| self.set_xattrs(&meta.path, &xattrs));
        // A stream that breaks off inside of a file is the sender's failure, not the disk's.
        outcome.map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => UntarError::Read(source),
            _ => UntarError::Write {
                path: shown,
                source,
            },
        })
    }

    fn meta<R: Read>(&self, entry: &Entry<'_, R>, path: PathBuf) -> io::Result<Meta> {
        let header = entry.header();
        let fields = header.as_old();
        let id = |number: u64| u32::try_from(number).map_err(io::Error::other);
        let owner = match self.owner {
            Some(owner) => owner,
            None => Owner {
                uid: id(or_zero(&fields.uid, || header.uid())?)?,
                gid: id(or_zero(&fields.gid, || header.gid())?)?,
            },
        };
        let modified = Duration::from_secs(or_zero(&fields.mtime, || header.mtime())?);
        let mode = or_zero(&fields.mode, || header.mode().map(u64::from))?;
        let mode = id(mode & 0o7777)?;
        Ok(Meta {
            path,
            finish: Finish {
                owner,
                mode,
                modified,
            },
        })
    }

    fn xattrs<R: Read>(&self, entry: &mut Entry<'_, R>) -> io::Result<Vec<(OsString, Vec<u8>)>> {
        const PREFIX: &[u8] = b"SCHILY.xattr.";
        let mut xattrs = Vec::new();
        if self.nodes == Nodes::Plain {
            return Ok(xattrs);
        }
        for extension in entry.pax_extensions()?.into_iter().flatten() {
            let extension = extension?;
            let key = extension.key_bytes().strip_prefix(PREFIX);
            if let Some(key) = key.filter(|key| !key.starts_with(b"trusted.")) {
                let key = OsStr::from_bytes(key).to_owned();
                xattrs.push((key, extension.value_bytes().to_vec()));
            }
        }
        Ok(xattrs)
    }

    fn set_xattrs(&self, path: &Path, xattrs: &[(OsString, Vec<u8>)]) -> io::Result<()> {
        if xattrs.is_empty() {
            return Ok(());
        }
        let (parent, name) = self.root.open_parent(&self.base.join(path))?;
        for (key, value) in xattrs {
            match parent.set_xattr(&name, key, value) {
                // Not every filesystem has every attribute; the file is worth more than them.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
                    ) => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Opens the directory that an entry goes into and takes away what stands in its place.
    fn place(&self, path: &Path) -> io::Result<(Directory, OsString)> {
        let full = self.base.join(path);
        let (Some(parent), Some(name)) = (full.parent(), full.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let owner = self.owner.unwrap_or(Owner { uid: 0, gid: 0 });
        let directory = self.root.create_dir_all_with(parent, 0o755, &mut |made| {
            made.set_own(0o755, owner.uid, owner.gid)
        })?;
        match directory.attributes(name) {
            Ok(_) => directory.remove(name)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok((directory, name.to_owned()))
    }

    fn directory(&mut self, meta: &Meta) -> io::Result<()> {
        let full = self.base.join(&meta.path);
        // One that is there stays, and so does a link to one; anything else makes way.
        let directory = match self.root.open_dir(&full) {
            Ok(directory) => directory,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                let (parent, name) = self.place(&meta.path)?;
                parent.make_dir(&name, 0o700)?;
                parent.open_dir(&name)?
            }
            Err(error) => return Err(error),
        };
        directory.set_own(
            meta.finish.mode,
            meta.finish.owner.uid,
            meta.finish.owner.gid,
        )?;
        self.directories.push((full, meta.finish.modified));
        Ok(())
    }

    fn file(&self, meta: &Meta, content: &mut impl Read) -> io::Result<()> {
        let (parent, name) = self.place(&meta.path)?;
        write_file(&parent, &name, content, meta.finish)
    }

    fn symlink(&self, meta: &Meta, target: Option<&[u8]>) -> io::Result<()> {
        let target = target.ok_or(io::ErrorKind::InvalidData)?;
        let (parent, name) = self.place(&meta.path)?;
        parent.symlink(&name, OsStr::from_bytes(target))?;
        parent.chown(&name, meta.finish.owner.uid, meta.finish.owner.gid)?;
        parent.set_modified(&name, meta.finish.modified)
    }

    fn hard_link(&self, meta: &Meta, target: &Path) -> io::Result<()> {
        let (original_parent, original) = self.root.open_parent(&self.base.join(target))?;
        if original_parent.attributes(&original)?.kind == NodeKind::Directory {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if meta.path == target {
            return Ok(());
        }
        let (parent, name) = self.place(&meta.path)?;
        parent.hard_link(&name, &original_parent, &original)
    }

    fn special(&self, meta: &Meta, kind: NodeKind, device: (u32, u32)) -> io::Result<()> {
        let (parent, name) = self.place(&meta.path)?;
        let node = Attributes {
            kind,
            mode: meta.finish.mode,
            uid: meta.finish.owner.uid,
            gid: meta.finish.owner.gid,
            size: 0,
            modified: meta.finish.modified,
            identity: (0, 0),
            n_links: 1,
            device,
            allocated_bytes: 0,
        };
        special(&parent, &name, &node, meta.finish)
    }

    fn finish(self) -> Result<(), UntarError> {
        for (path, modified) in self.directories.iter().rev() {
            let set = self
                .root
                .open_dir(path)
                .and_then(|dir| dir.set_own_modified(*modified));
            match set {
                // A later entry may have put something else there.
                Err(error)
                    if !matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    ) =>
                {
                    let path = path.display().to_string();
                    return Err(UntarError::Write {
                        path,
                        source: error,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads a number of a header; writers that have nothing to say may leave the field blank.
fn or_zero(field: &[u8], number: impl FnOnce() -> io::Result<u64>) -> io::Result<u64> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) {
        Ok(0)
    } else {
        number()
    }
}

fn device<R: Read>(entry: &Entry<'_, R>) -> io::Result<(u32, u32)> {
    let header = entry.header();
    let missing = || io::Error::from(io::ErrorKind::InvalidData);
    let major = header.device_major()?.ok_or_else(missing)?;
    let minor = header.device_minor()?.ok_or_else(missing)?;
    Ok((major, minor))
}

/// The path of an entry below the directory that it is unpacked in: `None` if it leaves that,
/// `Some(None)` for the directory itself.
fn inside(name: &[u8]) -> Option<Option<PathBuf>> {
    let mut path = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(name)).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some((!path.as_os_str().is_empty()).then_some(path))
}
