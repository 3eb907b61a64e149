//! What is in a file.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;

use berth_agent_sys::root_dir::Directory;
use berth_archive::{Entry, EntryKind, TarError, TarReader};

/// Removes a file that was just made, unless somebody else has its name by now.
pub(super) fn take_back(parent: &Directory, base: &OsStr, file: &File) {
    let is_same = file.metadata().is_ok_and(|own| {
        let found = parent.attributes(base);
        found.is_ok_and(|found| found.identity == (own.dev(), own.ino()))
    });
    if is_same && let Err(error) = parent.unlink(base) {
        tracing::warn!(name = %base.display(), %error, "half of a file stays");
    }
}

/// Writes what is in a file, leaving its holes.
pub(super) fn write<R: BufRead>(
    file: &mut File,
    entry: &Entry,
    tar: &mut TarReader<R>,
) -> Result<(), TarError> {
    let EntryKind::File { sparse: Some(map) } = &entry.kind else {
        return tar.copy(entry.size, file);
    };
    for &(offset, length) in &map.pieces {
        file.seek(SeekFrom::Start(offset))
            .map_err(TarError::Write)?;
        tar.copy(length, file)?;
    }
    file.set_len(map.real_size).map_err(TarError::Write)
}
