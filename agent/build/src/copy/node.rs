//! Copies files, directories and links from one tree to another.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, fchown};
use std::path::Path;
use std::time::Duration;

use berth_agent_sys::root_dir::{Attributes, Directory, NodeKind};

use super::{CopyError, Owner};

/// How copies look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) owner: Option<Owner>,
    pub(super) mode: Option<u32>,
    pub(super) keep_owner: bool,
}

/// What a new file gets besides its content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finish {
    pub(super) owner: Owner,
    pub(super) mode: u32,
    pub(super) modified: Duration,
}

// === impl Look ===

impl Look {
    pub(super) fn finish(&self, source: &Attributes) -> Finish {
        let kept = if self.keep_owner {
            Owner {
                uid: source.uid,
                gid: source.gid,
            }
        } else {
            Owner { uid: 0, gid: 0 }
        };
        Finish {
            owner: self.owner.unwrap_or(kept),
            mode: self.mode.unwrap_or(source.mode),
            modified: source.modified,
        }
    }

    /// Copies what a directory holds into another.
    pub(super) fn children(
        &self,
        from: &Directory,
        to: &Directory,
        path: &Path,
    ) -> Result<(), CopyError> {
        for name in from.names().map_err(CopyError::io("list", path))? {
            self.node(from, &name, to, &name, &path.join(&name))?;
        }
        Ok(())
    }

    /// Copies one name, with everything below it. `path` is for messages.
    pub(super) fn node(
        &self,
        from: &Directory,
        name: &OsStr,
        to: &Directory,
        to_name: &OsStr,
        path: &Path,
    ) -> Result<(), CopyError> {
        let read = |error| CopyError::io("read", path)(error);
        let write = |error| CopyError::io("write", path)(error);
        let source = from.attributes(name).map_err(read)?;
        let finish = self.finish(&source);
        match source.kind {
            NodeKind::Directory => {
                let source = from.open_dir(name).map_err(read)?;
                return self.directory(&source, to, to_name, finish, path);
            }
            NodeKind::Symlink => {
                let target = from.read_link(name).map_err(read)?;
                make_room(to, to_name, path)?;
                to.symlink(to_name, &target).map_err(write)?;
                to.chown(to_name, finish.owner.uid, finish.owner.gid)
                    .map_err(write)?;
                to.set_modified(to_name, finish.modified).map_err(write)?;
            }
            NodeKind::File => {
                let mut file = from.open_file(name).map_err(read)?;
                make_room(to, to_name, path)?;
                write_file(to, to_name, &mut file, finish).map_err(write)?;
            }
            NodeKind::CharacterDevice | NodeKind::BlockDevice | NodeKind::Fifo => {
                make_room(to, to_name, path)?;
                special(to, to_name, &source, finish).map_err(write)?;
            }
            // A socket means nothing without the process behind it.
            NodeKind::Socket => return Ok(()),
        }
        if self.keep_owner {
            copy_xattrs(from, name, to, to_name).map_err(write)?;
        }
        Ok(())
    }

    fn directory(
        &self,
        source: &Directory,
        to: &Directory,
        to_name: &OsStr,
        finish: Finish,
        path: &Path,
    ) -> Result<(), CopyError> {
        let write = |error| CopyError::io("write", path)(error);
        let is_new = match to.attributes(to_name) {
            Ok(existing) if existing.kind == NodeKind::Directory => false,
            Ok(_) => {
                return Err(CopyError::NotDirectory {
                    path: path.to_owned(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(write(error)),
        };
        if is_new {
            to.make_dir(to_name, 0o700).map_err(write)?;
        }
        let target = to.open_dir(to_name).map_err(write)?;
        self.children(source, &target, path)?;
        if is_new {
            target
                .set_own(finish.mode, finish.owner.uid, finish.owner.gid)
                .map_err(write)?;
            target.set_own_modified(finish.modified).map_err(write)?;
        }
        Ok(())
    }
}

/// Takes away what stands where a file is to be made.
pub(super) fn make_room(to: &Directory, name: &OsStr, path: &Path) -> Result<(), CopyError> {
    match to.attributes(name) {
        Ok(existing) if existing.kind == NodeKind::Directory => Err(CopyError::IsDirectory {
            path: path.to_owned(),
        }),
        Ok(_) => to.unlink(name).map_err(CopyError::io("replace", path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(CopyError::io("look at", path)(error)),
    }
}

/// Makes a file with its content.
pub(super) fn write_file(
    to: &Directory,
    name: &OsStr,
    content: &mut (impl Read + ?Sized),
    finish: Finish,
) -> io::Result<()> {
    let mut file = to.create_file(name, 0o600)?;
    io::copy(content, &mut file)?;
    finish_file(&file, finish)?;
    to.set_modified(name, finish.modified)
}

fn finish_file(file: &File, finish: Finish) -> io::Result<()> {
    // The owner first: changing it takes the set-user-id bit away.
    fchown(file, Some(finish.owner.uid), Some(finish.owner.gid))?;
    file.set_permissions(Permissions::from_mode(finish.mode))
}

/// Makes a device node or fifo like another.
pub(super) fn special(
    to: &Directory,
    name: &OsStr,
    source: &Attributes,
    finish: Finish,
) -> io::Result<()> {
    to.make_node(name, source.kind, 0o600, source.device)?;
    to.chown(name, finish.owner.uid, finish.owner.gid)?;
    to.chmod(name, finish.mode)?;
    to.set_modified(name, finish.modified)
}

/// Copies extended attributes.
pub(super) fn copy_xattrs(
    from: &Directory,
    name: &OsStr,
    to: &Directory,
    to_name: &OsStr,
) -> io::Result<()> {
    for (key, value) in xattrs(from, name)? {
        to.set_xattr(to_name, &key, &value)?;
    }
    Ok(())
}

/// Returns the extended attributes, but for those that belong to the overlay or to this machine.
pub(super) fn xattrs(from: &Directory, name: &OsStr) -> io::Result<Vec<(OsString, Vec<u8>)>> {
    let keys = match from.xattr_keys(name) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(Vec::new()),
        keys => keys?,
    };
    let mut found = Vec::new();
    for key in keys {
        let bytes = key.as_bytes();
        if bytes.starts_with(b"trusted.") || bytes == b"security.selinux" {
            continue;
        }
        if let Some(value) = from.xattr(name, &key)? {
            found.push((key, value));
        }
    }
    Ok(found)
}
