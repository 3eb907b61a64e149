//! Finding the last lines of a log without reading all of it.

use super::lines::{LineSplitter, Lines};
use super::reader::{LogSelection, ReadLogError, Reader};
use super::record::Stream;
use super::segment::{BLOCK, HEAD};

/// What a part of the log has of the lines that are wanted.
struct Part {
    lines: u64,
    /// How many lines go before the last one whose beginning is before the part, that one included.
    broken: u64,
}

impl Reader {
    /// Goes to where the last lines of a selection are, or stays where it is if all are wanted. Returns how many lines
    /// of the selection have to be skipped there. Only what is before `end` counts.
    ///
    /// # Errors
    /// Fails when the log cannot be read or is damaged.
    pub fn seek_to_tail(
        &mut self,
        selection: &LogSelection,
        end: u64,
    ) -> Result<u64, ReadLogError> {
        let Some(tail) = selection.tail else {
            return Ok(0);
        };
        // What has come since the log was opened counts too.
        while self.look_for_more()? {}
        let end = end.min(self.end()?);
        let mut blocks = 1;
        loop {
            let begin = self.blocks_before(end, blocks)?;
            self.seek(begin);
            let is_all = begin <= self.first();
            let part = self.look_over(selection, end, is_all)?;
            let skip = part.lines.saturating_sub(tail);
            if is_all || (part.lines >= tail && part.broken <= skip) {
                self.seek(begin);
                return Ok(skip);
            }
            blocks *= 4;
        }
    }

    /// Counts the lines from here to `end`.
    fn look_over(
        &mut self,
        selection: &LogSelection,
        end: u64,
        is_all: bool,
    ) -> Result<Part, ReadLogError> {
        let mut part = Part {
            lines: 0,
            broken: 0,
        };
        let mut splitter = LineSplitter::default();
        // Whether the next line of a stream has its beginning before this part.
        let mut is_broken = [None; 2];
        while self.offset() < end {
            let Some(record) = self.next_record()? else {
                break;
            };
            let slot = usize::from(record.stream == Stream::Stderr);
            if let Some(broken @ None) = is_broken.get_mut(slot) {
                *broken = Some(record.continues && !is_all);
            }
            splitter.push(record, |lines| {
                count(selection, &lines, &mut is_broken, &mut part);
            });
        }
        splitter.finish(|lines| count(selection, &lines, &mut is_broken, &mut part));
        Ok(part)
    }

    /// Returns where the log begins that is there.
    fn first(&self) -> u64 {
        self.segments.first().map_or(0, |segment| segment.base)
    }

    /// Returns where the log ends now, in the segments that are open.
    ///
    /// # Errors
    /// Fails when the last of them cannot be looked at.
    pub fn end(&mut self) -> Result<u64, ReadLogError> {
        let dir = self.dir().to_owned();
        let end = match self.segments.last_mut() {
            Some(last) => last.unpacked(&dir).and_then(|last| last.end()),
            None => Ok(0),
        };
        end.map_err(|e| self.error(e))
    }

    /// Returns where the block begins that is so many blocks before `end`; the log's beginning if there are not so many.
    fn blocks_before(&mut self, end: u64, mut blocks: u64) -> Result<u64, ReadLogError> {
        let (dir, mut end) = (self.dir().to_owned(), end);
        for segment in self.segments.iter_mut().rev() {
            if segment.base >= end {
                continue;
            }
            // Those that are not reached stay compressed.
            if let Err(source) = segment.unpacked(&dir) {
                return Err(self.error(source));
            }
            let last = (end - segment.base + HEAD - 1) / BLOCK;
            if blocks <= last + 1 {
                let position = ((last + 1 - blocks) * BLOCK).max(HEAD);
                return Ok(segment.base + position - HEAD);
            }
            blocks -= last + 1;
            end = segment.base;
        }
        Ok(self.first())
    }
}

fn count(
    selection: &LogSelection,
    lines: &Lines,
    is_broken: &mut [Option<bool>; 2],
    part: &mut Part,
) {
    let slot = usize::from(lines.stream == Stream::Stderr);
    let was_broken = is_broken
        .get_mut(slot)
        .and_then(|broken| broken.replace(false))
        .unwrap_or_default();
    if selection.wants(lines) {
        if was_broken {
            part.broken = part.lines + 1;
        }
        part.lines += lines.count();
    }
}
