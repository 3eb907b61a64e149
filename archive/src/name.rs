//! What the names in an archive mean.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// Makes a name relative and free of `.` and `..`, as if it began at the root: whatever an archive
/// says, the result is below the place where it is unpacked, as far as names go.
#[must_use]
pub fn clean(name: &[u8]) -> PathBuf {
    let mut path = PathBuf::new();
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                path.pop();
            }
            component => path.push(OsStr::from_bytes(component)),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::clean;

    #[test]
    fn names_cannot_leave_the_root() {
        for (name, expected) in [
            ("a/b", "a/b"),
            ("./a//b/", "a/b"),
            ("/etc/passwd", "etc/passwd"),
            ("../../etc/passwd", "etc/passwd"),
            ("a/../../b", "b"),
            ("a/..", ""),
            ("/", ""),
            ("..", ""),
        ] {
            assert_eq!(clean(name.as_bytes()), Path::new(expected), "{name}");
        }
    }
}
