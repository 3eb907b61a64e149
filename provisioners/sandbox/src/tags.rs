//! The tag that everything of a machine carries on this host: the machine's directory in its store,
//! which is its name and its store in one.
//!
//! The register is where the tag counts; control groups and cables carry it too, so that what is
//! left can be told apart even when the register was lost.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{XattrFlags, getxattr, setxattr};

const ATTRIBUTE: &str = "trusted.berth-sandbox";
/// The longest path that the kernel knows, and one more.
const LONGEST: usize = 4097;
/// The longest note that an interface can carry.
const LONGEST_NOTE: usize = 255;
const INTERFACES: &str = "/sys/class/net";

/// Tags a control group.
pub(crate) fn put_on_group(group: &Path, directory: &Path) -> io::Result<()> {
    let tag = directory.as_os_str().as_bytes();
    Ok(setxattr(group, ATTRIBUTE, tag, XattrFlags::empty())?)
}

/// Reads the tag of a control group; none when it has none.
pub(crate) fn of_group(group: &Path) -> Option<PathBuf> {
    let mut tag = vec![0; LONGEST];
    let length = getxattr(group, ATTRIBUTE, &mut tag).ok()?;
    tag.truncate(length);
    Some(std::ffi::OsString::from_vec(tag).into())
}

/// Returns the note that an interface carries as its tag, if it fits.
pub(crate) fn note(directory: &Path) -> Option<&str> {
    directory
        .to_str()
        .filter(|note| note.len() <= LONGEST_NOTE && !note.contains('\n'))
}

/// Returns the names and tags of all cables that have one; `prefix` is how their names begin.
pub(crate) fn of_cables(prefix: &str) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(INTERFACES).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if !name.starts_with(prefix) {
            continue;
        }
        // The machine may be going at this moment.
        let tag = fs::read(entry.path().join("ifalias")).unwrap_or_default();
        let tag = tag.strip_suffix(b"\n").unwrap_or(&tag);
        if !tag.is_empty() {
            found.push((name, PathBuf::from(OsStr::from_bytes(tag))));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_does_not_fit_is_no_note() {
        assert_eq!(note(Path::new("/s/machines/a")), Some("/s/machines/a"));
        assert_eq!(note(Path::new(&"x".repeat(256))), None);
        assert_eq!(note(Path::new("/a\nb")), None);
    }
}
