//! What the names in an archive mean.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// What a name says about lower layers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whiteout<'a> {
    /// The directory hides everything below it.
    Opaque,
    /// This name does not exist any more.
    Name(&'a OsStr),
    /// Bookkeeping of an older filesystem; means nothing.
    Bookkeeping,
    /// `.wh.` in front of nothing sensible.
    Nonsense,
}

const PREFIX: &[u8] = b".wh.";
const META_PREFIX: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

pub(super) fn os(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

/// Makes a name relative and free of `.` and `..`, as if it began at the root.
pub(super) fn clean(name: &[u8]) -> PathBuf {
    let mut path = PathBuf::new();
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                path.pop();
            }
            component => path.push(os(component)),
        }
    }
    path
}

/// Splits a clean name; `None` for the root itself.
pub(super) fn split(path: &Path) -> Option<(&Path, &OsStr)> {
    Some((path.parent()?, path.file_name()?))
}

pub(super) fn whiteout(base: &OsStr) -> Option<Whiteout<'_>> {
    let bytes = base.as_bytes();
    if bytes == OPAQUE {
        return Some(Whiteout::Opaque);
    }
    if bytes.starts_with(META_PREFIX) {
        return Some(Whiteout::Bookkeeping);
    }
    Some(match bytes.strip_prefix(PREFIX)? {
        b"" | b"." | b".." => Whiteout::Nonsense,
        hidden => Whiteout::Name(os(hidden)),
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use super::{Whiteout, clean, whiteout};

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

    #[test]
    fn only_sensible_whiteouts_hide_something() {
        let of = |name: &'static str| whiteout(OsStr::new(name));
        assert_eq!(of("file"), None);
        assert_eq!(of(".wh.file"), Some(Whiteout::Name(OsStr::new("file"))));
        assert_eq!(of(".wh..wh..opq"), Some(Whiteout::Opaque));
        assert_eq!(of(".wh..wh.plnk"), Some(Whiteout::Bookkeeping));
        assert_eq!(of(".wh."), Some(Whiteout::Nonsense));
        assert_eq!(of(".wh..."), Some(Whiteout::Nonsense));
    }
}
