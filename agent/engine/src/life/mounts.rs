//! Folders of containers that are deleted, and what others have mounted below them.
//!
//! An administrator (or a program that looks into containers) may mount something below the data root. What
//! is mounted is his: a deletion goes neither into it nor takes it off.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use berth_agent_sys::root_dir::RootDir;

/// Returns the first place at or below these folders where something is mounted.
pub(crate) fn first_below(folders: &[PathBuf]) -> Option<PathBuf> {
    // The kernel shows paths without links.
    let folders: Vec<PathBuf> = folders
        .iter()
        .filter_map(|folder| fs::canonicalize(folder).ok())
        .collect();
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    table
        .split(|byte| *byte == b'\n')
        .filter_map(mount_point)
        .find(|point| folders.iter().any(|folder| point.starts_with(folder)))
}

/// Returns the place of a line of mountinfo, see proc(5).
fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let field = line.split(|byte| *byte == b' ').nth(4)?;
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        // Blanks and their like are written as three octal digits.
        let escaped = after.get(..3).filter(|_| byte == b'\\');
        let code = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(code.unwrap_or(byte));
        rest = after.get(if code.is_some() { 3 } else { 0 }..)?;
    }
    Some(OsString::from_vec(bytes).into())
}

/// Deletes a folder with everything below it, up to the first place where something is mounted. Goes on
/// after a failure; what is left is tried again when the agent starts.
pub(crate) fn remove_folder(path: &Path) {
    match remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), error = %error, "folder not removed");
        }
        _ => {}
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    RootDir::open(parent)?.root()?.remove_unless_mounted(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_in_places_are_read() {
        let line = br"36 35 98:0 /mnt1 /mnt/a\040b\134c rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(mount_point(line), Some(PathBuf::from(r"/mnt/a b\c")));
        assert_eq!(mount_point(b""), None);
        assert_eq!(
            mount_point(br"36 35 98:0 / /mnt\04 rw"),
            Some(PathBuf::from(r"/mnt\04"))
        );
    }

    #[test]
    fn what_is_mounted_below_is_found_and_what_is_not_is_not() {
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir(folder.path().join("a")).expect("folder");
        assert_eq!(first_below(&[folder.path().to_owned()]), None);
        assert_eq!(first_below(&["/proc".into()]), Some(PathBuf::from("/proc")));
        remove_folder(folder.path());
        assert!(!folder.path().exists());
    }
}
