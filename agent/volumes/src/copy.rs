//! Copying what an image has at a volume's place into the volume, with everything that files have.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use berth_agent_state::StateError;
use berth_agent_sys::root_dir::{Attributes, Directory, NodeKind, RootDir};

/// How deep a tree is copied. Each level holds two descriptors and a stack frame, and an image can
/// be made by anybody.
const MAX_DEPTH: usize = 200;

/// Attributes that overlayfs keeps for itself, which must not be carried anywhere else.
const OVERLAY_ATTRIBUTES: &[u8] = b"trusted.overlay.";

/// The reasons why a volume cannot be filled from an image. The volume is empty afterwards.
#[derive(Debug, thiserror::Error)]
pub enum CopyUpError {
    /// There is no such volume.
    #[error("no such volume: {name}")]
    NotFound {
        /// The volume.
        name: String,
    },
    /// A file cannot be copied.
    #[error("cannot copy {path} of the image into volume {name}")]
    Copy {
        /// The volume.
        name: String,
        /// The file, from the place that is copied.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The state database failed.
    #[error("cannot record the filling of volume {name}")]
    State {
        /// The volume.
        name: String,
        /// What the database said.
        #[source]
        source: StateError,
    },
}

/// A file that could not be copied, and why.
#[derive(Debug)]
pub(crate) struct CopyFailure {
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

/// Copies all that is in `source`, and its own owner and mode, into `target`, which is empty.
pub(crate) fn tree(source: &Directory, target: &RootDir) -> Result<(), CopyFailure> {
    let top = target.root().map_err(at(Path::new(".")))?;
    let mut copier = Copier {
        target,
        first_names: HashMap::new(),
    };
    copier.content(source, &top, Path::new(""), 0)?;
    own_attributes(source, &top).map_err(at(Path::new(".")))
}

/// Removes everything in a directory.
pub(crate) fn empty(directory: &Directory) -> io::Result<()> {
    directory
        .names()?
        .iter()
        .try_for_each(|name| directory.remove(name))
}

struct Copier<'a> {
    target: &'a RootDir,
    /// Where the first name of a file with several names was copied to.
    first_names: HashMap<(u64, u64), PathBuf>,
}

impl Copier<'_> {
    fn content(
        &mut self,
        from: &Directory,
        to: &Directory,
        path: &Path,
        depth: usize,
    ) -> Result<(), CopyFailure> {
        if depth > MAX_DEPTH {
            return Err(at(path)(io::Error::other(
                "the directories are nested too deeply",
            )));
        }
        for name in from.names().map_err(at(path))? {
            let path = path.join(&name);
            let attributes = from.attributes(&name).map_err(at(&path))?;
            if attributes.kind == NodeKind::Directory {
                to.make_dir(&name, 0o700).map_err(at(&path))?;
                let inner_from = from.open_dir(&name).map_err(at(&path))?;
                let inner_to = to.open_dir(&name).map_err(at(&path))?;
                self.content(&inner_from, &inner_to, &path, depth + 1)?;
                own_attributes(&inner_from, &inner_to).map_err(at(&path))?;
            } else {
                self.leaf(from, to, &name, &path, &attributes)
                    .map_err(at(&path))?;
            }
        }
        Ok(())
    }

    fn leaf(
        &mut self,
        from: &Directory,
        to: &Directory,
        name: &OsStr,
        path: &Path,
        attributes: &Attributes,
    ) -> io::Result<()> {
        if attributes.n_links > 1 {
            if let Some(first) = self.first_names.get(&attributes.identity) {
                let (directory, first_name) = self.target.open_parent(first)?;
                return to.hard_link(name, &directory, &first_name);
            }
            self.first_names
                .insert(attributes.identity, path.to_owned());
        }
        match attributes.kind {
            NodeKind::File => {
                let mut content = from.open_file(name)?;
                io::copy(&mut content, &mut to.create_file(name, 0o600)?)?;
            }
            NodeKind::Symlink => to.symlink(name, &from.read_link(name)?)?,
            kind => to.make_node(name, kind, 0o600, attributes.device)?,
        }
        // In this order, since a new owner costs a file its set-user-id bit and its capabilities.
        to.chown(name, attributes.uid, attributes.gid)?;
        if attributes.kind != NodeKind::Symlink {
            to.chmod(name, attributes.mode)?;
        }
        for key in from.xattr_keys(name)? {
            if let Some(value) = wanted(&key, || from.xattr(name, &key))? {
                to.set_xattr(name, &key, &value)?;
            }
        }
        to.set_modified(name, attributes.modified)
    }
}

fn own_attributes(from: &Directory, to: &Directory) -> io::Result<()> {
    let attributes = from.own_attributes()?;
    to.set_own(attributes.mode, attributes.uid, attributes.gid)?;
    for key in from.own_xattr_keys()? {
        if let Some(value) = wanted(&key, || from.own_xattr(&key))? {
            to.set_own_xattr(&key, &value)?;
        }
    }
    to.set_own_modified(attributes.modified)
}

fn wanted(
    key: &OsStr,
    value: impl FnOnce() -> io::Result<Option<Vec<u8>>>,
) -> io::Result<Option<Vec<u8>>> {
    if key.as_bytes().starts_with(OVERLAY_ATTRIBUTES) {
        return Ok(None);
    }
    value()
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> CopyFailure + use<> {
    let path = path.to_owned();
    move |source| CopyFailure { path, source }
}
