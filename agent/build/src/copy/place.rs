//! Puts found sources into the tree of an image, by the rules on what the destination means.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use berth_agent_images::{UnpackOptions, Whiteouts, apply_tar};
use berth_agent_sys::root_dir::{Directory, NodeKind, RootDir};

use super::node::{Finish, Look, copy_xattrs, make_room, special, write_file};
use super::{CopyError, Owner, Placement, archive};

/// Mode of files whose content stands in the Dockerfile.
const CONTENT_MODE: u32 = 0o644;
/// Mode of directories that are made on the way.
const DIRECTORY_MODE: u32 = 0o755;

/// Copies the sources from their tree into `target`.
pub(crate) fn place(
    placement: &Placement,
    source: &RootDir,
    target: &RootDir,
) -> Result<(), CopyError> {
    let look = Look {
        owner: placement.owner,
        mode: placement.mode,
        keep_owner: placement.keep_owner,
    };
    let placer = Placer {
        placement,
        look,
        source,
        target,
    };
    let into_directory = placer.goes_into_directory()?;
    for path in &placement.sources {
        placer.source(path, into_directory)?;
    }
    for (name, content) in &placement.contents {
        placer.content(name, content, into_directory)?;
    }
    Ok(())
}

struct Placer<'a> {
    placement: &'a Placement,
    look: Look,
    source: &'a RootDir,
    target: &'a RootDir,
}

// === impl Placer ===

impl Placer<'_> {
    /// Whether files go into the destination instead of becoming it.
    fn goes_into_directory(&self) -> Result<bool, CopyError> {
        let placement = self.placement;
        let is_directory = match self.target.metadata(&placement.destination) {
            Ok(found) => found.kind == NodeKind::Directory,
            Err(error) if is_absent(&error) => false,
            Err(error) => return Err(CopyError::io("look at", &placement.destination)(error)),
        };
        let n_sources = placement.sources.len() + placement.contents.len();
        if n_sources > 1 && !placement.into_directory && !is_directory {
            return Err(CopyError::DestinationNotDirectory {
                keyword: placement.keyword,
            });
        }
        Ok(placement.into_directory || is_directory)
    }

    fn source(&self, path: &Path, into_directory: bool) -> Result<(), CopyError> {
        let read = |error| CopyError::io("read", path)(error);
        let Ok(attributes) = self.source.metadata(path) else {
            // A link that leads nowhere is copied as what it is.
            let (parent, name) = self.source.open_parent(path).map_err(read)?;
            let (to, to_name) = self.destination(&name, into_directory)?;
            return self.look.node(&parent, &name, &to, to_name, path);
        };
        if attributes.kind == NodeKind::Directory {
            let from = self.source.open_dir(path).map_err(read)?;
            let to = self.directory(&self.placement.destination)?;
            return self.look.children(&from, &to, path);
        }
        if self.placement.unpack && attributes.kind == NodeKind::File && self.unpacked(path)? {
            return Ok(());
        }
        let name = path.file_name().unwrap_or_default();
        let (to, to_name) = self.destination(name, into_directory)?;
        let written_path = self.placement.destination.join(to_name);
        make_room(&to, to_name, &written_path)?;
        let finish = self.look.finish(&attributes);
        let write = |error| CopyError::io("write", &written_path)(error);
        match attributes.kind {
            NodeKind::File => {
                let mut file = self.source.open_file(path).map_err(read)?;
                write_file(&to, to_name, &mut file, finish).map_err(write)?;
                if !self.look.keep_owner {
                    return Ok(());
                }
                let (from, from_name) = self.source.open_parent(path).map_err(read)?;
                copy_xattrs(&from, &from_name, &to, to_name)
                    .map_err(CopyError::io("write", &written_path))
            }
            NodeKind::Socket => Ok(()),
            _ => special(&to, to_name, &attributes, finish).map_err(write),
        }
    }

    fn content(&self, name: &str, mut content: &[u8], into: bool) -> Result<(), CopyError> {
        let (to, to_name) = self.destination(OsStr::new(name), into)?;
        let path = self.placement.destination.join(to_name);
        make_room(&to, to_name, &path)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let finish = Finish {
            owner: self.look.owner.unwrap_or(Owner { uid: 0, gid: 0 }),
            mode: self.look.mode.unwrap_or(CONTENT_MODE),
            modified: now.unwrap_or(Duration::ZERO),
        };
        write_file(&to, to_name, &mut content, finish).map_err(CopyError::io("write", &path))
    }

    /// Unpacks a source that is an archive; says whether it was one.
    fn unpacked(&self, path: &Path) -> Result<bool, CopyError> {
        let read = |error| CopyError::io("read", path)(error);
        let file = self.source.open_file(path).map_err(read)?;
        let Some(archive) = archive::open(file).map_err(read)? else {
            return Ok(false);
        };
        let destination = &self.placement.destination;
        let directory = self.directory(destination)?;
        let inside = directory.as_fd().try_clone_to_owned();
        let inside = RootDir::from_fd(inside.map_err(CopyError::io("open", destination))?);
        let options = UnpackOptions {
            whiteouts: Whiteouts::Ignored,
            owner: self.look.owner.map(|owner| (owner.uid, owner.gid)),
            ..UnpackOptions::default()
        };
        apply_tar(archive, &inside, &options).map_err(|source| CopyError::Archive {
            path: path.to_owned(),
            source,
        })?;
        Ok(true)
    }

    /// The directory and the name that a file will have.
    fn destination<'b>(
        &'b self,
        name: &'b OsStr,
        into_directory: bool,
    ) -> Result<(Directory, &'b OsStr), CopyError> {
        let destination = &self.placement.destination;
        match (
            into_directory,
            destination.parent(),
            destination.file_name(),
        ) {
            (false, Some(parent), Some(last)) => Ok((self.directory(parent)?, last)),
            _ => Ok((self.directory(destination)?, name)),
        }
    }

    /// Opens a directory of the target, making what is missing.
    fn directory(&self, path: &Path) -> Result<Directory, CopyError> {
        let owner = self.look.owner.unwrap_or(Owner { uid: 0, gid: 0 });
        make_directories(self.target, path, owner)
    }
}

/// Opens a directory, making what is missing of its path.
pub(crate) fn make_directories(
    target: &RootDir,
    path: &Path,
    owner: Owner,
) -> Result<Directory, CopyError> {
    let made = target.create_dir_all_with(path, DIRECTORY_MODE, &mut |directory| {
        directory.set_own(DIRECTORY_MODE, owner.uid, owner.gid)
    });
    made.map_err(|source| match source.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => CopyError::NotDirectory {
            path: PathBuf::from(path),
        },
        _ => CopyError::io("make", path)(source),
    })
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
