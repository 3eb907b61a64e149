//! What the names in an archive mean.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

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

    use super::{Whiteout, whiteout};

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
