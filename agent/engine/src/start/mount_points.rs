//! The lowest layer of every container: empty files and folders at the places that are mounted over.
//!
//! An image that lacks `/etc/hosts` or `/dev` still gets them, without a trace in the container's own
//! changes, which a build step commits. Lying below the image, it never overrides what an image has.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::Path;

const FOLDERS: &[&str] = &["dev", "dev/pts", "dev/shm", "etc", "proc", "sys"];
const FILES: &[&str] = &[
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
    "dev/console",
    ".dockerenv",
];

/// Makes the layer at `root`; what exists stays.
pub(crate) fn prepare(root: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(root)?;
    fs::set_permissions(root, Permissions::from_mode(0o755))?;
    for folder in FOLDERS {
        let path = root.join(folder);
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    }
    for file in FILES {
        let path = root.join(file);
        if !path.exists() {
            File::create(&path)?.set_permissions(Permissions::from_mode(0o644))?;
        }
    }
    match symlink("/proc/mounts", root.join("etc/mtab")) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preparing_twice_is_fine() {
        let root = tempfile::tempdir().expect("temporary directory");
        prepare(root.path()).expect("first");
        prepare(root.path()).expect("second");
        assert!(root.path().join("etc/hosts").is_file());
        assert_eq!(
            fs::read_link(root.path().join("etc/mtab")).expect("link"),
            Path::new("/proc/mounts")
        );
    }
}
