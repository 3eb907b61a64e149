//! Turning a layer's tree into a tar, the same one for the same tree.
//!
//! Used for naming the layers that are made here (the digest of the tar) and for pushing them. The
//! order is by name, times have whole seconds, and of the extended attributes only those travel
//! that Docker sends too (`security.capability`), and the users' own.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use berth_agent_sys::root_dir::{Attributes, Directory, NodeKind, RootDir};
use berth_archive::{NewEntry, TarWriter};

use crate::unpack::{OPAQUE, is_whiteout};

/// What was packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Sum of the sizes of the files.
    pub(crate) size: u64,
    /// How many members there are besides the root.
    pub(crate) n_entries: u64,
}

/// The reasons why a tree cannot be packed.
#[derive(Debug, thiserror::Error)]
#[error("cannot pack {}", path.display())]
pub(crate) struct PackError {
    pub(crate) path: PathBuf,
    #[source]
    pub(crate) source: io::Error,
}

/// Writes the tree as a tar with whiteouts in the form that layers have.
///
/// The tree must not be changed by others at the same time; see [`pack_live_tree`].
pub(crate) fn pack_tree(root: &RootDir, writer: impl Write) -> Result<Packed, PackError> {
    pack(root, writer, false)
}

/// Does as [`pack_tree`] while others may change the tree. What vanishes meanwhile is left out, and a
/// file that becomes shorter while it is read ends in zeros.
pub(crate) fn pack_live_tree(root: &RootDir, writer: impl Write) -> Result<Packed, PackError> {
    pack(root, writer, true)
}

fn pack(root: &RootDir, writer: impl Write, is_live: bool) -> Result<Packed, PackError> {
    let mut packer = Packer {
        tar: TarWriter::new(writer),
        is_live,
        names: HashMap::new(),
        done: Packed::default(),
    };
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |source| PackError { path, source }
    };
    packer.root(root).map_err(fail(Path::new("/")))?;
    // Names to visit, the next one last. Directories are opened one at a time, so that a deep tree
    // takes neither stack nor file descriptors.
    let mut stack = vec![PathBuf::new()];
    while let Some(path) = stack.pop() {
        let children = match packer.visit(root, &path) {
            Err(error) if is_live && has_changed(&error) => continue,
            result => result.map_err(fail(&path))?,
        };
        stack.extend(children.into_iter().rev().map(|name| path.join(name)));
    }
    packer
        .tar
        .finish()
        .and_then(|mut writer| writer.flush())
        .map_err(fail(Path::new("/")))?;
    Ok(packer.done)
}

struct Packer<W> {
    tar: TarWriter<W>,
    /// The first name of every file that has several.
    names: HashMap<(u64, u64), Vec<u8>>,
    done: Packed,
    is_live: bool,
}

/// Tells whether a name is gone, or stands for something else by now. Until that is known, nothing
/// about it has been written.
fn has_changed(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | InvalidInput | NotADirectory)
}

impl<W: Write> Packer<W> {
    fn root(&mut self, root: &RootDir) -> io::Result<()> {
        let directory = root.root()?;
        let keys = directory.own_xattr_keys()?;
        let xattrs = travelling(&keys, |key| directory.own_xattr(key))?;
        let attributes = directory.own_attributes()?;
        self.tar
            .entry(&new_entry(b"./", b'5', &attributes, &xattrs))?;
        self.opaque_mark(&keys, &directory, "")
    }

    /// Writes one name and returns the names below it.
    fn visit(&mut self, root: &RootDir, path: &Path) -> io::Result<Vec<OsString>> {
        let Some((parent, name)) = path.parent().zip(path.file_name()) else {
            return root.root()?.names();
        };
        let parent = root.open_dir(parent)?;
        let attributes = parent.attributes(name)?;
        let text = path.as_os_str().as_bytes();
        if is_whiteout(&attributes) {
            self.whiteout(text, name)?;
            return Ok(Vec::new());
        }
        if attributes.kind == NodeKind::Socket {
            tracing::debug!(path = %path.display(), "left out a socket, which archives cannot hold");
            return Ok(Vec::new());
        }
        if attributes.kind != NodeKind::Directory
            && attributes.n_links > 1
            && let Some(first) = self.names.get(&attributes.identity)
        {
            let entry = NewEntry {
                link: first,
                size: 0,
                ..new_entry(text, b'1', &attributes, &[])
            };
            self.tar.entry(&entry)?;
            self.done.n_entries += 1;
            return Ok(Vec::new());
        }
        let keys = parent.xattr_keys(name)?;
        let xattrs = travelling(&keys, |key| parent.xattr(name, key))?;
        if attributes.kind != NodeKind::Directory {
            self.leaf(&parent, name, text, &attributes, &xattrs)?;
            self.done.n_entries += 1;
            if attributes.n_links > 1 {
                self.names.insert(attributes.identity, text.to_vec());
            }
            return Ok(Vec::new());
        }
        let directory = parent.open_dir(name)?;
        let slashed = [text, b"/"].concat();
        self.tar
            .entry(&new_entry(&slashed, b'5', &attributes, &xattrs))?;
        self.done.n_entries += 1;
        self.opaque_mark(&keys, &directory, OsStr::from_bytes(&slashed))?;
        directory.names()
    }

    fn leaf(
        &mut self,
        parent: &Directory,
        name: &OsStr,
        text: &[u8],
        attributes: &Attributes,
        xattrs: &[(Vec<u8>, Vec<u8>)],
    ) -> io::Result<()> {
        let entry = |kind| new_entry(text, kind, attributes, xattrs);
        match attributes.kind {
            NodeKind::File => {
                let (mut file, found) = parent.open_regular(name)?;
                self.done.size = self.done.size.saturating_add(found.size);
                self.tar.entry(&NewEntry {
                    size: found.size,
                    ..entry(b'0')
                })?;
                if self.is_live {
                    return self.tar.data(found.size, &mut file.chain(io::repeat(0)));
                }
                self.tar.data(found.size, &mut file)
            }
            NodeKind::Symlink => self.tar.entry(&NewEntry {
                link: parent.read_link(name)?.as_bytes(),
                ..entry(b'2')
            }),
            NodeKind::CharacterDevice => self.tar.entry(&NewEntry {
                device: attributes.device,
                ..entry(b'3')
            }),
            NodeKind::BlockDevice => self.tar.entry(&NewEntry {
                device: attributes.device,
                ..entry(b'4')
            }),
            NodeKind::Fifo => self.tar.entry(&entry(b'6')),
            NodeKind::Directory | NodeKind::Socket => Ok(()),
        }
    }

    fn whiteout(&mut self, path: &[u8], name: &OsStr) -> io::Result<()> {
        self.done.n_entries += 1;
        let directory = &path[..path.len() - name.len()];
        self.marker(&[directory, b".wh.", name.as_bytes()].concat())
    }

    fn opaque_mark(
        &mut self,
        keys: &[OsString],
        directory: &Directory,
        slashed: impl AsRef<OsStr>,
    ) -> io::Result<()> {
        let key = OsStr::new(OPAQUE);
        if !keys.iter().any(|present| present == key)
            || directory.own_xattr(key)?.as_deref() != Some(b"y")
        {
            return Ok(());
        }
        self.done.n_entries += 1;
        self.marker(&[slashed.as_ref().as_bytes(), b".wh..wh..opq"].concat())
    }

    fn marker(&mut self, path: &[u8]) -> io::Result<()> {
        self.tar.entry(&NewEntry {
            path,
            kind: b'0',
            ..NewEntry::default()
        })
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

/// Returns the extended attributes that are part of a layer.
fn travelling(
    keys: &[OsString],
    get: impl Fn(&OsStr) -> io::Result<Option<Vec<u8>>>,
) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut xattrs = Vec::new();
    for key in keys {
        let bytes = key.as_bytes();
        let is_users = bytes.starts_with(b"user.") && !bytes.starts_with(b"user.overlay.");
        if (is_users || bytes == b"security.capability")
            && let Some(value) = get(key)?
        {
            xattrs.push((bytes.to_vec(), value));
        }
    }
    Ok(xattrs)
}
