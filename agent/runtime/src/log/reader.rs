//! Reads a container's log without its supervisor.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::FILE_NAME;
use super::lines::{LineSplitter, Lines};
use super::pack;
use super::record::{HEADER, Header, Kind, Record, Stream};
use super::segment::{self, BLOCK, HEAD, NEXT, Named};

/// How much is read at once.
const CHUNK: usize = 128 * 1024;

/// How often the segments are listed again when they change meanwhile.
const ATTEMPTS: usize = 20;

/// Which lines of a log are wanted.
#[derive(Clone, Debug, Default)]
pub struct LogSelection {
    /// Only lines from this time on.
    pub since: Option<SystemTime>,
    /// Only lines up to this time.
    pub until: Option<SystemTime>,
    /// Only this stream.
    pub stream: Option<Stream>,
    /// Only this many of the last lines (after the other conditions).
    pub tail: Option<u64>,
}

impl LogSelection {
    /// Returns whether lines are wanted, but for their number.
    pub fn wants(&self, lines: &Lines) -> bool {
        self.since.is_none_or(|since| lines.time >= since)
            && self.until.is_none_or(|until| lines.time <= until)
            && self.stream.is_none_or(|stream| lines.stream == stream)
    }
}

/// A log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadLogError {
    /// The file cannot be opened or read.
    #[error("reading log {path}")]
    Io {
        /// The log's file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Iterates over the whole records of a log, as far as it is written now.
///
/// What was there when it was opened can be read to its end, whatever rotation removes meanwhile.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    pub(super) segments: Vec<Segment>,
    /// The segment that is being read.
    current: usize,
    /// Where the next record begins.
    offset: u64,
    /// Bytes that are missing before it.
    lost: u64,
    /// What has been read ahead, and where in the log it begins.
    ahead: Vec<u8>,
    ahead_at: u64,
}

/// A segment that is open.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) base: u64,
    file: File,
    is_packed: bool,
}

impl Reader {
    /// Opens the log of the container with this bundle directory.
    ///
    /// # Errors
    /// Fails when a file cannot be opened; a log that is missing reads as an empty one.
    pub fn open(bundle_dir: &Path) -> Result<Self, ReadLogError> {
        let mut reader = Self {
            dir: bundle_dir.to_owned(),
            segments: Vec::new(),
            current: 0,
            offset: 0,
            lost: 0,
            ahead: Vec::new(),
            ahead_at: 0,
        };
        reader.refresh()?;
        reader.offset = reader.segments.first().map_or(0, |segment| segment.base);
        Ok(reader)
    }

    /// Returns the next record; `None` at the end of what is completely written.
    ///
    /// # Errors
    /// Fails when a file cannot be read. What is damaged counts as lost, up to the next place where a record begins for
    /// certain.
    pub fn next_record(&mut self) -> Result<Option<Record>, ReadLogError> {
        loop {
            let Some(header) = self.header()? else {
                if self.next_segment()? {
                    continue;
                }
                return Ok(None);
            };
            let begin = self.offset + HEADER as u64;
            let Some(data) = self.bytes(begin, header.length)?.map(<[u8]>::to_vec) else {
                // The writer may cut it off again and write something else there.
                self.ahead.clear();
                if self.next_segment()? {
                    continue;
                }
                return Ok(None);
            };
            let offset = self.offset;
            self.offset += header.total() as u64;
            match header.kind {
                Kind::Lost(bytes) | Kind::Skipped(bytes) => self.lost += bytes,
                Kind::Output {
                    stream,
                    continues,
                    time,
                } => {
                    return Ok(Some(Record {
                        stream,
                        time,
                        data,
                        lost: std::mem::take(&mut self.lost),
                        offset,
                        continues,
                    }));
                }
            }
        }
    }

    /// Returns where the next record begins; reading can go on from there later (see [`Self::seek`]).
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes on at `offset`, which must be where a record begins. What is not there any more counts as lost.
    pub fn seek(&mut self, offset: u64) {
        let after = |segment: &Segment| segment.base <= offset;
        self.current = self.segments.iter().rposition(after).unwrap_or(0);
        let base = self.segments.get(self.current).map_or(0, |s| s.base);
        self.offset = offset.max(base);
        self.lost = self.offset - offset;
    }

    /// Hands the selected lines to `each` in the order of their completion, until it returns false.
    ///
    /// # Errors
    /// Fails when the log cannot be read or is damaged.
    pub fn for_each_line(
        &mut self,
        selection: &LogSelection,
        mut each: impl FnMut(Lines) -> bool,
    ) -> Result<(), ReadLogError> {
        let mut skip = self.seek_to_tail(selection, u64::MAX)?;
        let mut splitter = LineSplitter::default();
        let mut goes_on = true;
        let mut take = |mut lines: Lines| {
            if goes_on && selection.wants(&lines) {
                let skipped = lines.count().min(skip);
                skip -= skipped;
                lines.skip(skipped);
                goes_on = lines.data.is_empty() || each(lines);
            }
        };
        while let Some(record) = self.next_record()? {
            splitter.push(record, &mut take);
        }
        splitter.finish(&mut take);
        Ok(())
    }

    pub(super) fn error(&self, source: io::Error) -> ReadLogError {
        ReadLogError::Io {
            path: self.dir.join(FILE_NAME),
            source,
        }
    }

    fn header(&mut self) -> Result<Option<Header>, ReadLogError> {
        loop {
            let offset = self.offset;
            let Some(bytes) = self.bytes(offset, HEADER)? else {
                return Ok(None);
            };
            let header = <[u8; HEADER]>::try_from(bytes)
                .ok()
                .and_then(Header::decode)
                .filter(|header| self.is_within_block(offset, header));
            if header.is_some() {
                return Ok(header);
            }
            if !self.skip_block()? {
                return Ok(None);
            }
        }
    }

    /// Returns whether a record is as short as every one is.
    fn is_within_block(&self, offset: u64, header: &Header) -> bool {
        let base = self.segments.get(self.current).map_or(0, |s| s.base);
        let position = offset - base + HEAD;
        position % BLOCK + header.total() as u64 <= BLOCK
    }

    /// Goes to the end of a block that is damaged, or of a segment that is complete; returns false when that is nowhere
    /// yet. In the segment that is written, its end may lie within a record.
    fn skip_block(&mut self) -> Result<bool, ReadLogError> {
        // The writer may cut it off again and write something else there.
        self.ahead.clear();
        let Some(segment) = self.segments.get(self.current) else {
            return Ok(false);
        };
        let end = segment.end().map_err(|e| self.error(e))?;
        let position = self.offset - segment.base + HEAD;
        let next_block = segment.base + (position / BLOCK + 1) * BLOCK - HEAD;
        let is_complete = self.current + 1 < self.segments.len();
        let next = match next_block <= end {
            true => next_block,
            false if is_complete => end,
            false => return Ok(false),
        };
        let skipped = next.saturating_sub(self.offset);
        self.lost += skipped;
        self.offset += skipped;
        Ok(skipped > 0)
    }

    /// Goes on with the next segment, or finds out whether the present one is still written; returns false at the end.
    fn next_segment(&mut self) -> Result<bool, ReadLogError> {
        if let Some(next) = self.segments.get(self.current + 1) {
            // It was there before the last bytes of this one were asked for in vain.
            self.lost += next.base.saturating_sub(self.offset);
            self.offset = self.offset.max(next.base);
            self.current += 1;
            return Ok(true);
        }
        self.look_for_more()
    }

    /// Opens the segments that have come since; returns whether there are any.
    pub(super) fn look_for_more(&mut self) -> Result<bool, ReadLogError> {
        let path = self.dir.join(FILE_NAME);
        let is_last = match self.segments.last() {
            Some(last) => segment::is_at(&last.file, &path).map_err(|e| self.error(e))?,
            None => !path.exists(),
        };
        if is_last {
            return Ok(false);
        }
        let known = self.segments.len();
        self.refresh()?;
        Ok(self.segments.len() > known)
    }

    /// Opens the segments that are newer than those that are open.
    fn refresh(&mut self) -> Result<(), ReadLogError> {
        let after = self.segments.last().map(|segment| segment.base);
        for _ in 0..ATTEMPTS {
            let found = open_after(&self.dir, after).map_err(|e| self.error(e))?;
            if let Some(found) = found {
                if self.segments.is_empty() {
                    self.offset = found.first().map_or(0, |segment| segment.base);
                }
                self.segments.extend(found);
                return Ok(());
            }
        }
        Err(self.error(io::ErrorKind::ResourceBusy.into()))
    }

    /// Returns `length` bytes at `offset`, or nothing when the segment ends before.
    fn bytes(&mut self, offset: u64, length: usize) -> Result<Option<&[u8]>, ReadLogError> {
        let end = offset + length as u64;
        let covered = self.ahead_at <= offset && end <= self.ahead_at + self.ahead.len() as u64;
        if !covered {
            self.read_ahead(offset, length.max(CHUNK))?;
        }
        let from = usize::try_from(offset - self.ahead_at).unwrap_or(usize::MAX);
        Ok(self.ahead.get(from..).and_then(|rest| rest.get(..length)))
    }

    fn read_ahead(&mut self, offset: u64, length: usize) -> Result<(), ReadLogError> {
        self.ahead_at = offset;
        self.ahead.clear();
        let Some(segment) = self.segments.get_mut(self.current) else {
            return Ok(());
        };
        self.ahead.resize(length, 0);
        let read = segment
            .unpacked(&self.dir)
            .and_then(|segment| segment.read(offset, &mut self.ahead));
        let filled = read.map_err(|e| self.error(e))?;
        self.ahead.truncate(filled);
        Ok(())
    }
}

impl Segment {
    /// Makes sure that the segment can be read anywhere.
    pub(super) fn unpacked(&mut self, dir: &Path) -> io::Result<&mut Self> {
        if self.is_packed {
            self.file = pack::unpack(&self.file, dir)?;
            self.is_packed = false;
        }
        Ok(self)
    }

    /// Returns where in the log the segment ends now.
    pub(super) fn end(&self) -> io::Result<u64> {
        Ok(self.base + self.file.metadata()?.len().saturating_sub(HEAD))
    }

    /// Fills `buffer` with what is at `offset` of the log, and returns how much there was.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let position = offset - self.base + HEAD + filled as u64;
            match self.file.read_at(rest, position) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }
}

impl Reader {
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Opens all segments that begin after `after`; nothing when they changed meanwhile.
fn open_after(dir: &Path, after: Option<u64>) -> io::Result<Option<Vec<Segment>>> {
    let is_newer = |base| after.is_none_or(|after| base > after);
    let mut segments = Vec::new();
    for named in segment::list(dir)? {
        if is_newer(named.base) {
            segments.extend(open_named(dir, named)?);
        }
    }
    let file = match File::open(dir.join(FILE_NAME)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Some(segments)),
        other => other?,
    };
    // One without a head has just been made, or is not a log.
    let Some(base) = segment::read_head(&file)? else {
        return Ok(Some(segments));
    };
    let mut last = segments.last().map(|segment| segment.base).or(after);
    // A rotation that goes on right now has not yet given the segment before its name.
    if let Some(former) = open_former(dir, base)?
        && is_newer(former.base)
        && last.is_none_or(|last| former.base > last)
    {
        last = Some(former.base);
        segments.push(former);
    }
    // A rotation between the list and this left the segment before it out.
    let known = segment::list(dir)?;
    let is_missing =
        |named: &&Named| named.base < base && last.is_none_or(|last| named.base > last);
    if known.iter().any(|named| is_missing(&named)) {
        return Ok(None);
    }
    if is_newer(base) && last.is_none_or(|last| base > last) {
        segments.push(Segment {
            base,
            file,
            is_packed: false,
        });
    }
    Ok(Some(segments))
}

/// Opens the segment before the one that begins at `base`, if it has no name of its own yet.
fn open_former(dir: &Path, base: u64) -> io::Result<Option<Segment>> {
    let file = match File::open(dir.join(NEXT)) {
        // It has got its name by now, and is found under it.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let former = segment::read_head(&file)?.filter(|former| *former < base);
    Ok(former.map(|former| Segment {
        base: former,
        file,
        is_packed: false,
    }))
}

/// Opens a complete segment; one that was removed meanwhile is nothing, one that was compressed is that.
fn open_named(dir: &Path, named: Named) -> io::Result<Option<Segment>> {
    for is_packed in [named.is_packed, true] {
        let named = Named { is_packed, ..named };
        match File::open(named.path(dir)) {
            Ok(file) => {
                return Ok(Some(Segment {
                    base: named.base,
                    file,
                    is_packed,
                }));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}
