//! The files that a log is made of.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::FILE_NAME;

/// No record crosses a multiple of this in its file.
pub(super) const BLOCK: u64 = 256 * 1024;

/// Length of what a segment begins with.
pub(super) const HEAD: u64 = 16;

const MAGIC: [u8; 8] = *b"BERTHLOG";

/// Name of the segment that comes next, while it is being made.
pub(super) const NEXT: &str = "container.log.next";

/// Ending of compressed segments.
const PACKED: &str = ".gz";

/// Returns what a segment begins with whose first record is at `base` of the log.
pub(super) fn head(base: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    let (magic, number) = bytes.split_at_mut(8);
    magic.copy_from_slice(&MAGIC);
    number.copy_from_slice(&base.to_le_bytes());
    bytes
}

/// Reads where in the log a segment begins; nothing for a file that is none.
pub(super) fn read_head(file: &File) -> io::Result<Option<u64>> {
    let mut bytes = [0; 16];
    match file.read_exact_at(&mut bytes, 0) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let [magic @ .., n0, n1, n2, n3, n4, n5, n6, n7] = bytes;
    let base = u64::from_le_bytes([n0, n1, n2, n3, n4, n5, n6, n7]);
    Ok((magic == MAGIC).then_some(base))
}

/// Returns the path of a complete segment.
pub(super) fn complete(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{FILE_NAME}.{base}"))
}

/// Returns the path of a complete segment that is compressed.
pub(super) fn packed(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{FILE_NAME}.{base}{PACKED}"))
}

/// A complete segment as the directory names it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Named {
    pub(super) base: u64,
    pub(super) is_packed: bool,
}

impl Named {
    pub(super) fn path(&self, dir: &Path) -> PathBuf {
        if self.is_packed {
            packed(dir, self.base)
        } else {
            complete(dir, self.base)
        }
    }
}

/// Lists complete segments, oldest first. One that is there twice, since its compression was cut off, is not compressed.
pub(super) fn list(dir: &Path) -> io::Result<Vec<Named>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(dir) {
        // The container was removed.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(found),
        other => other?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let rest = name
            .to_str()
            .and_then(|name| name.strip_prefix(FILE_NAME)?.strip_prefix('.'));
        let Some(rest) = rest else { continue };
        let (number, is_packed) = match rest.strip_suffix(PACKED) {
            Some(number) => (number, true),
            None => (rest, false),
        };
        if let Ok(base) = number.parse() {
            found.push(Named { base, is_packed });
        }
    }
    found.sort_unstable();
    found.dedup_by_key(|named| named.base);
    Ok(found)
}

/// Returns whether a file is the one that a path names now.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((ours.dev(), ours.ino()) == (named.dev(), named.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_found_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "container.log",
            "container.log.100",
            "container.log.20.gz",
            "container.log.100.gz",
            "container.log.next",
            "container.log.5.gz.new",
            "exit.json",
        ] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let found: Vec<(u64, bool)> = list(dir.path())
            .unwrap()
            .iter()
            .map(|named| (named.base, named.is_packed))
            .collect();
        assert_eq!(found, [(20, true), (100, false)]);
    }
}
