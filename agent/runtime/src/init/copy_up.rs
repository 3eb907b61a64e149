//! Filling a new tmpfs with what it hides (`tmpcopyup`).

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use berth_agent_sys::root_dir::{Directory, NodeKind, RootDir};

/// Directories deeper than this are not what an image has below a place for temporary files.
const MAX_DEPTH: u32 = 256;

/// Copies everything in the directory `from` into the directory `to`, with owners, modes and times.
pub(super) fn copy(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let open = |fd: &OwnedFd| RootDir::from_fd(fd.as_fd().try_clone_to_owned()?).root();
    let (from, to) = (open(from)?, open(to)?);
    copy_directory(&from, &to, MAX_DEPTH)
}

fn copy_directory(from: &Directory, to: &Directory, depth: u32) -> io::Result<()> {
    let depth = depth.checked_sub(1).ok_or(io::ErrorKind::InvalidData)?;
    for name in from.names()? {
        let attributes = from.attributes(&name)?;
        match attributes.kind {
            NodeKind::File => {
                let mut source = from.open_file(&name)?;
                io::copy(&mut source, &mut to.create_file(&name, 0o600)?)?;
            }
            NodeKind::Directory => {
                to.make_dir(&name, 0o700)?;
                copy_directory(&from.open_dir(&name)?, &to.open_dir(&name)?, depth)?;
            }
            NodeKind::Symlink => {
                to.symlink(&name, &from.read_link(&name)?)?;
                to.chown(&name, attributes.uid, attributes.gid)?;
                continue;
            }
            kind => to.make_node(&name, kind, attributes.mode, attributes.device)?,
        }
        // The owner first: changing it takes set-user-id bits away.
        to.chown(&name, attributes.uid, attributes.gid)?;
        to.chmod(&name, attributes.mode)?;
        to.set_modified(&name, attributes.modified)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_copy_has_links_modes_and_what_is_deeper() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir_all(path("from/deep")).unwrap();
        fs::create_dir(path("to")).unwrap();
        fs::write(path("from/deep/file"), "text").unwrap();
        fs::set_permissions(path("from/deep/file"), fs::Permissions::from_mode(0o4711)).unwrap();
        symlink("/nowhere", path("from/link")).unwrap();
        let open = |name: &str| OwnedFd::from(File::open(path(name)).unwrap());
        copy(&open("from"), &open("to")).unwrap();
        assert_eq!(fs::read_to_string(path("to/deep/file")).unwrap(), "text");
        let mode = fs::metadata(path("to/deep/file")).unwrap().permissions();
        assert_eq!(mode.mode() & 0o7777, 0o4711);
        assert_eq!(
            fs::read_link(path("to/link")).unwrap().to_str(),
            Some("/nowhere")
        );
    }
}
