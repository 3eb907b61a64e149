//! Taking a log over: who may write it, and what a crash has left half done.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::FILE_NAME;
use super::record::{HEADER, Header};
use super::segment::{self, BLOCK, HEAD, NEXT};

/// Opens the segment that is written, with the lock that only its writer has; nothing while somebody else has it.
pub(crate) fn claim(bundle_dir: &Path) -> io::Result<Option<File>> {
    let path = bundle_dir.join(FILE_NAME);
    loop {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(e),
        }
        // Its writer may have begun another one in between.
        if segment::is_at(&file, &path)? {
            return Ok(Some(file));
        }
    }
}

/// Where the segment that is written begins and ends in the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Extent {
    pub(super) base: u64,
    pub(super) end: u64,
}

/// Finishes a change of segments that was cut off, and cuts off what is torn at the end of the one that is written.
///
/// `known_end` is the log's end by the last exit record: a segment that does not tell where it begins, begins there.
pub(super) fn recover(dir: &Path, file: &File, known_end: Option<u64>) -> io::Result<Extent> {
    let base = match segment::read_head(file)? {
        Some(base) => base,
        None => {
            let base = last_end(dir)?.max(known_end).unwrap_or(0);
            file.set_len(0)?;
            file.write_all_at(&segment::head(base), 0)?;
            base
        }
    };
    settle_next(dir, base)?;
    let on_disk = file.metadata()?.len();
    let whole = whole_records(file, on_disk)?;
    if whole < on_disk {
        file.set_len(whole)?;
    }
    Ok(Extent {
        base,
        end: base + whole - HEAD,
    })
}

/// A segment that was to be the next one is no more than a name; the one before it has not got its own yet.
pub(super) fn settle_next(dir: &Path, base: u64) -> io::Result<()> {
    let path = dir.join(NEXT);
    let file = match File::open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    match segment::read_head(&file)? {
        Some(former) if former < base => fs::rename(&path, segment::complete(dir, former)),
        _ => fs::remove_file(&path),
    }
}

/// Returns where the newest complete segment ends.
fn last_end(dir: &Path) -> io::Result<Option<u64>> {
    let Some(last) = segment::list(dir)?.pop() else {
        return Ok(None);
    };
    if last.is_packed {
        return Ok(Some(last.base));
    }
    let length = fs::metadata(last.path(dir))?.len();
    Ok(Some(last.base + length.saturating_sub(HEAD)))
}

/// Returns the length of a segment up to its last whole record. Only the last blocks are looked at.
fn whole_records(file: &File, on_disk: u64) -> io::Result<u64> {
    let mut block = on_disk.saturating_sub(1) / BLOCK;
    loop {
        let begin = (block * BLOCK).max(HEAD);
        let end = walk(file, begin, on_disk)?;
        if end > begin || block == 0 {
            return Ok(end);
        }
        block -= 1;
    }
}

fn walk(file: &File, begin: u64, on_disk: u64) -> io::Result<u64> {
    let mut position = begin;
    let mut bytes = [0; HEADER];
    while position + HEADER as u64 <= on_disk {
        file.read_exact_at(&mut bytes, position)?;
        let Some(header) = Header::decode(bytes) else {
            break;
        };
        let end = position + header.total() as u64;
        if end > on_disk {
            break;
        }
        position = end;
    }
    Ok(position)
}
