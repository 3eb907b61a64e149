//! The supervisor's end of the log.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::uio::pwritev;

use super::FILE_NAME;
use super::pack;
use super::policy::LogPolicy;
use super::record::{HEADER, Header, Kind, Stream};
use super::recover::{Extent, recover, settle_next};
use super::segment::{self, BLOCK, HEAD, NEXT};

/// How much more than its policy allows a log may take for attached clients that are slow. What a client has not been
/// sent when there is more is lost for it, and it is told.
const FOR_SLOW_CLIENTS: u64 = 256 << 20;

/// Appends records to a log; a record is in it completely or not at all.
#[derive(Debug)]
pub(crate) struct Writer {
    dir: PathBuf,
    policy: LogPolicy,
    file: File,
    /// Where the segment that is written begins and ends in the log.
    extent: Extent,
    /// Complete segments, oldest first.
    complete: VecDeque<Complete>,
    /// Whether a line is unfinished, of standard output and of standard error.
    inside: [bool; 2],
    /// Bytes that were given up since the last record.
    lost: u64,
    /// Bytes that were given up in all.
    lost_in_all: u64,
}

#[derive(Debug)]
struct Complete {
    base: u64,
    end: u64,
    is_packed: bool,
}

/// Where a byte of the log is.
#[derive(Debug)]
pub(crate) enum Found {
    /// In the segment that is written.
    Written,
    Complete(Held),
    /// It is not there any more; what is begins later.
    Gone {
        next: u64,
    },
}

/// A complete segment that is held open, so that it can be read to its end whoever removes it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) base: u64,
    pub(crate) end: u64,
    pub(crate) file: File,
}

impl Held {
    /// Returns where in its file a byte of the log is, if it is in this segment.
    pub(crate) fn position_of(&self, offset: u64) -> Option<u64> {
        (self.base..self.end)
            .contains(&offset)
            .then(|| offset - self.base + HEAD)
    }
}

impl Writer {
    /// Takes over the log of a bundle directory with the file that was claimed, and puts right what a crash has left.
    ///
    /// `known_end` is the end that the last exit record knew.
    pub(crate) fn new(
        bundle_dir: &Path,
        file: File,
        policy: LogPolicy,
        known_end: Option<u64>,
    ) -> io::Result<Self> {
        let extent = recover(bundle_dir, &file, known_end)?;
        let named = segment::list(bundle_dir)?;
        let bases: Vec<u64> = named.iter().map(|named| named.base).collect();
        let ends = bases.iter().skip(1).copied().chain([extent.base]);
        let complete = named.iter().zip(ends).map(|(named, end)| Complete {
            base: named.base,
            end,
            is_packed: named.is_packed,
        });
        let mut writer = Self {
            dir: bundle_dir.to_owned(),
            policy,
            extent,
            complete: complete.filter(|c| c.base < extent.base).collect(),
            file,
            inside: [false; 2],
            lost: 0,
            lost_in_all: 0,
        };
        if writer.policy.transient && extent.end > extent.base {
            writer.rotate()?;
        }
        writer.prune(u64::MAX);
        Ok(writer)
    }

    /// Returns where the log ends.
    pub(crate) fn end(&self) -> u64 {
        self.extent.end
    }

    /// Returns where what can be sent begins.
    pub(crate) fn beginning(&self) -> u64 {
        let plain = self.complete.iter().filter(|segment| !segment.is_packed);
        plain
            .map(|segment| segment.base)
            .next()
            .unwrap_or(self.extent.base)
    }

    /// Returns the segment that is written.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Appends one piece of output, and before it how much was lost, if anything was.
    pub(crate) fn append(
        &mut self,
        stream: Stream,
        time: SystemTime,
        data: &[u8],
    ) -> io::Result<()> {
        let length = (HEADER + data.len()) as u64;
        let written = self.position();
        let is_full = |max| written > HEAD && written + length > max;
        if self.policy.max_bytes.is_some_and(is_full) {
            // A log that is longer than it should be is better than none; the next record tries again.
            drop(self.rotate());
        }
        if self.lost > 0 {
            let lost = self.lost;
            self.write(&[], |_| Kind::Lost(lost))?;
            self.lost = 0;
        }
        let slot = usize::from(stream == Stream::Stderr);
        let inside = self.inside.get(slot).copied().unwrap_or_default();
        self.write(data, |first| Kind::Output {
            stream,
            continues: first.map_or(inside, |before| before != b'\n'),
            time,
        })?;
        if let (Some(inside), Some(last)) = (self.inside.get_mut(slot), data.last()) {
            *inside = *last != b'\n';
        }
        Ok(())
    }

    /// Notes output that was given up because it could not be written. The next record that can be tells.
    pub(crate) fn give_up(&mut self, bytes: u64) {
        self.lost += bytes;
        self.lost_in_all += bytes;
    }

    /// Returns how much output was given up.
    pub(crate) fn given_up(&self) -> u64 {
        self.lost_in_all
    }

    /// Returns whether the log is no more than the way to attached clients.
    pub(crate) fn is_transient(&self) -> bool {
        self.policy.transient
    }

    /// Writes one piece as the records that it takes; `kind` gets the byte before each record but the first.
    fn write(&mut self, data: &[u8], kind: impl Fn(Option<u8>) -> Kind) -> io::Result<()> {
        const ZEROS: [u8; HEADER] = [0; HEADER];
        let position = self.position();
        let mut records = Vec::with_capacity(2);
        let (mut at, mut rest, mut before) = (position, data, None);
        loop {
            let room = usize::try_from(BLOCK - at % BLOCK).unwrap_or(usize::MAX);
            let (piece, later) = rest.split_at(rest.len().min(room - HEADER));
            let left = room - HEADER - piece.len();
            // Room that no record fits into.
            let padding = if left <= HEADER { left } else { 0 };
            let header = Header {
                length: piece.len(),
                padding: u8::try_from(padding).unwrap_or_default(),
                kind: kind(before),
            };
            at += header.total() as u64;
            records.push((header.encode(), piece, ZEROS.get(..padding).unwrap_or(&[])));
            before = piece.last().copied();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        let parts: Vec<IoSlice<'_>> = records
            .iter()
            .flat_map(|(header, piece, padding)| [&header[..], piece, padding])
            .map(IoSlice::new)
            .collect();
        let written = write_all(&self.file, &parts, position, at - position);
        match written {
            Ok(()) => {
                self.extent.end += at - position;
                Ok(())
            }
            Err(e) => {
                // Readers ignore an incomplete record at the end, so a failure to cut it off harms nobody.
                drop(self.file.set_len(position));
                Err(e)
            }
        }
    }

    /// Returns where in its file the segment that is written ends.
    fn position(&self) -> u64 {
        self.extent.end - self.extent.base + HEAD
    }

    /// Begins a new segment. Whoever looks sees either the one before or the new one, and its lock.
    fn rotate(&mut self) -> io::Result<()> {
        let (path, next) = (self.dir.join(FILE_NAME), self.dir.join(NEXT));
        // The rotation before may have got no further than that: what is there is a segment.
        settle_next(&self.dir, self.extent.base)?;
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&next)?;
        let begun = file
            .write_all_at(&segment::head(self.extent.end), 0)
            .and_then(|()| Ok(file.try_lock()?))
            .and_then(|()| exchange(&next, &path));
        if let Err(error) = begun {
            drop(fs::remove_file(&next));
            return Err(error);
        }
        // If this fails, the next rotation does it, or the next writer.
        drop(fs::rename(
            &next,
            segment::complete(&self.dir, self.extent.base),
        ));
        let former = std::mem::replace(&mut self.file, file);
        drop(former.unlock());
        self.complete.push_back(Complete {
            base: self.extent.base,
            end: self.extent.end,
            is_packed: false,
        });
        self.extent.base = self.extent.end;
        Ok(())
    }

    /// Removes complete segments that are too many, as far as no attached client needs them: `needed` is the least
    /// offset that one is at.
    pub(crate) fn prune(&mut self, needed: u64) {
        while self.complete.len() > self.policy.n_complete() {
            let Some(oldest) = self.complete.front() else {
                return;
            };
            if oldest.end > needed && self.extent.end - oldest.base <= FOR_SLOW_CLIENTS {
                return;
            }
            for path in [
                segment::complete(&self.dir, oldest.base),
                segment::packed(&self.dir, oldest.base),
            ] {
                drop(fs::remove_file(path));
            }
            self.complete.pop_front();
        }
    }

    /// Returns the work of compressing a complete segment that no attached client needs, if there is one to be done.
    pub(crate) fn packing(
        &mut self,
        needed: u64,
    ) -> Option<impl FnOnce() -> io::Result<()> + use<>> {
        if !self.policy.compress {
            return None;
        }
        let segment = self
            .complete
            .iter_mut()
            .find(|segment| !segment.is_packed && segment.end <= needed)?;
        segment.is_packed = true;
        let (dir, base) = (self.dir.clone(), segment.base);
        Some(move || pack::pack(&dir, base))
    }

    /// Finds the segment that has the log at `offset`.
    pub(crate) fn find(&self, offset: u64) -> io::Result<Found> {
        if offset >= self.extent.base {
            return Ok(Found::Written);
        }
        let plain = self.complete.iter().filter(|segment| !segment.is_packed);
        let Some(segment) = plain.clone().find(|segment| offset < segment.end) else {
            let next = self.extent.base;
            return Ok(Found::Gone { next });
        };
        if offset < segment.base {
            return Ok(Found::Gone { next: segment.base });
        }
        let file = File::open(segment::complete(&self.dir, segment.base))?;
        Ok(Found::Complete(Held {
            base: segment.base,
            end: segment.end,
            file,
        }))
    }

    /// Returns where in the file of the segment that is written a byte of the log is.
    pub(crate) fn position_of(&self, offset: u64) -> u64 {
        offset - self.extent.base + HEAD
    }
}

/// Lets two names change places.
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    let flags = RenameFlags::RENAME_EXCHANGE;
    Ok(renameat2(AT_FDCWD, one, AT_FDCWD, other, flags)?)
}

fn write_all(file: &File, parts: &[IoSlice<'_>], position: u64, total: u64) -> io::Result<()> {
    let offset = i64::try_from(position).map_err(io::Error::other)?;
    let written = pwritev(file, parts, offset)?;
    if written as u64 == total {
        return Ok(());
    }
    // A short write happens when the disk gets full; the second attempt gets the error or the rest.
    let all: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
    let rest = all.get(written..).unwrap_or_default();
    file.write_all_at(rest, position + written as u64)
}

#[cfg(test)]
mod tests;
