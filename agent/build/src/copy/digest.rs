//! Names what a copy would bring: mode, owner, path, kind, content and extended attributes, but not
//! times.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use berth_agent_sys::root_dir::{Attributes, Directory, NodeKind, RootDir};
use sha2::{Digest as _, Sha256};

use super::CopyError;
use super::node::xattrs;

/// The deepest tree that is copied. Each level takes stack and an open directory, and a command of a
/// build can make a tree as deep as it likes.
const MAX_DEPTH: usize = 512;

/// Returns a digest over the sources in `root`.
pub(crate) fn digest(
    root: &RootDir,
    sources: &[PathBuf],
    keep_owner: bool,
) -> Result<String, CopyError> {
    let mut hasher = Hasher {
        sha: Sha256::new(),
        keep_owner,
        depth: 0,
    };
    for source in sources {
        hasher.source(root, source)?;
    }
    Ok(hex::encode(hasher.sha.finalize()))
}

struct Hasher {
    sha: Sha256,
    keep_owner: bool,
    depth: usize,
}

// === impl Hasher ===

impl Hasher {
    fn source(&mut self, root: &RootDir, path: &Path) -> Result<(), CopyError> {
        let failed = |error| CopyError::io("read", path)(error);
        // The name counts for a file, as that is what it will be called; a directory's does not.
        let Ok(attributes) = root.metadata(path) else {
            let (parent, name) = root.open_parent(path).map_err(failed)?;
            return self.node(&parent, &name, path);
        };
        if attributes.kind == NodeKind::Directory {
            self.text(b"tree");
            let directory = root.open_dir(path).map_err(failed)?;
            return self.children(&directory, path);
        }
        self.head(path.file_name().unwrap_or_default(), &attributes);
        if attributes.kind == NodeKind::File {
            let file = root.open_file(path).map_err(failed)?;
            self.content(file).map_err(failed)?;
            let (parent, name) = root.open_parent(path).map_err(failed)?;
            self.xattrs(&parent, &name).map_err(failed)?;
        }
        Ok(())
    }

    fn children(&mut self, directory: &Directory, path: &Path) -> Result<(), CopyError> {
        if self.depth >= MAX_DEPTH {
            let error = io::Error::other("its directories are nested too deep");
            return Err(CopyError::io("read", path)(error));
        }
        self.depth += 1;
        for name in directory.names().map_err(CopyError::io("list", path))? {
            self.node(directory, &name, &path.join(&name))?;
        }
        self.depth -= 1;
        self.text(b"end");
        Ok(())
    }

    fn node(&mut self, parent: &Directory, name: &OsStr, path: &Path) -> Result<(), CopyError> {
        let failed = |error| CopyError::io("read", path)(error);
        let attributes = parent.attributes(name).map_err(failed)?;
        self.head(name, &attributes);
        match attributes.kind {
            NodeKind::Directory => {
                let directory = parent.open_dir(name).map_err(failed)?;
                self.children(&directory, path)?;
            }
            NodeKind::Symlink => {
                let target = parent.read_link(name).map_err(failed)?;
                self.text(target.as_bytes());
            }
            NodeKind::File => {
                let file = parent.open_file(name).map_err(failed)?;
                self.content(file).map_err(failed)?;
                self.xattrs(parent, name).map_err(failed)?;
            }
            NodeKind::CharacterDevice
            | NodeKind::BlockDevice
            | NodeKind::Fifo
            | NodeKind::Socket => {}
        }
        Ok(())
    }

    fn head(&mut self, name: &OsStr, attributes: &Attributes) {
        self.text(name.as_bytes());
        let (uid, gid) = if self.keep_owner {
            (attributes.uid, attributes.gid)
        } else {
            (0, 0)
        };
        let (major, minor) = attributes.device;
        let numbers = [
            attributes.kind as u32,
            attributes.mode,
            uid,
            gid,
            major,
            minor,
        ];
        for number in numbers {
            self.sha.update(number.to_le_bytes());
        }
    }

    fn content(&mut self, mut file: impl Read) -> io::Result<()> {
        let mut content = Sha256::new();
        let mut buffer = vec![0; 128 * 1024];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => content.update(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // A digest has one length, so that it needs no mark of where it ends.
        self.sha.update(content.finalize());
        Ok(())
    }

    /// Adds what a copy keeps of them, such as capabilities.
    fn xattrs(&mut self, parent: &Directory, name: &OsStr) -> io::Result<()> {
        if self.keep_owner {
            for (key, value) in xattrs(parent, name)? {
                self.text(key.as_bytes());
                self.text(&value);
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &[u8]) {
        self.sha.update((text.len() as u64).to_le_bytes());
        self.sha.update(text);
    }
}
