//! Lines made of records.

use std::time::SystemTime;

use super::cursor::{Begun, Cursor};
use super::record::{Record, Stream};

/// One or more lines of one stream that have the same time, each with its newline. The last line of a stream, and a
/// piece of a line that is too long to be kept until it is complete, have none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lines {
    /// Where they came from.
    pub stream: Stream,
    /// When the first byte of each was read.
    pub time: SystemTime,
    /// The bytes.
    pub data: Vec<u8>,
    /// Bytes that are missing before them.
    pub lost: u64,
}

/// Makes lines of records; keeps the beginning of an unfinished line for each stream.
#[derive(Debug, Default)]
pub struct LineSplitter {
    stdout: Option<Unfinished>,
    stderr: Option<Unfinished>,
    /// Bytes that are missing before the next lines.
    lost: u64,
    /// The place that reading was resumed from: records before it only give the beginnings of lines.
    resumed: Option<Cursor>,
}

#[derive(Debug)]
struct Unfinished {
    time: SystemTime,
    data: Vec<u8>,
    begun: Begun,
}

impl LineSplitter {
    /// Longest unfinished line that is kept: a longer one is handed out in pieces, as a log without a newline would
    /// otherwise end up in memory.
    const MAX_UNFINISHED: usize = 1 << 20;

    /// Goes on where another splitter was; takes the records from [`Cursor::first`] on.
    pub fn resume(cursor: Cursor) -> Self {
        Self {
            resumed: Some(cursor),

            ..Self::default()
        }
    }

    /// Takes a record and hands out the lines that it completes.
    pub fn push(&mut self, record: Record, mut each: impl FnMut(Lines)) {
        match self.resumed {
            Some(cursor) if record.offset < cursor.next => return self.replay(record, cursor),
            _ => self.resumed = None,
        }
        let Record {
            stream,
            time,
            mut data,
            ..
        } = record;
        self.lost += record.lost;
        let mut taken = 0;
        if record.continues {
            let end = newline(&data).map(|at| at + 1);
            if let Some(line) = self.begun(stream) {
                taken = end.unwrap_or(data.len());
                line.data
                    .extend_from_slice(data.get(..taken).unwrap_or_default());
                if end.is_some() || line.data.len() >= Self::MAX_UNFINISHED {
                    self.hand_out(stream, &mut each);
                }
            }
        } else {
            // A process that has ended does not finish its line.
            self.hand_out(stream, &mut each);
        }
        let rest = data.get(taken..).unwrap_or_default();
        let whole = taken + last_newline(rest).map_or(0, |at| at + 1);
        if whole < data.len() {
            let unfinished = Unfinished {
                time,
                data: data.get(whole..).unwrap_or_default().to_vec(),
                begun: Begun {
                    offset: record.offset,
                    skip: whole,
                },
            };
            *self.slot(stream) = Some(unfinished);
        }
        if whole > taken {
            data.truncate(whole);
            if taken > 0 {
                data.drain(..taken);
            }
            each(self.lines(stream, time, data));
        }
    }

    /// Hands out what is left of unfinished lines, in the order in which they began.
    pub fn finish(&mut self, mut each: impl FnMut(Lines)) {
        let stderr_first = match (&self.stdout, &self.stderr) {
            (Some(out), Some(err)) => err.time < out.time,
            _ => false,
        };
        let order = if stderr_first {
            [Stream::Stderr, Stream::Stdout]
        } else {
            [Stream::Stdout, Stream::Stderr]
        };
        for stream in order {
            self.hand_out(stream, &mut each);
        }
    }

    /// Returns the place after all lines that were handed out; `next` is where the next record begins.
    pub fn cursor(&self, next: u64) -> Cursor {
        let begun = |line: &Option<Unfinished>| line.as_ref().map(|line| line.begun);
        Cursor {
            next,
            stdout: begun(&self.stdout),
            stderr: begun(&self.stderr),
        }
    }

    /// Takes the beginning of an unfinished line off a record before the place that reading is resumed from.
    fn replay(&mut self, record: Record, cursor: Cursor) {
        let Some(begun) = cursor.begun(record.stream) else {
            return;
        };
        if record.offset < begun.offset {
            return;
        }
        let skip = if record.offset == begun.offset {
            begun.skip
        } else {
            0
        };
        let data = record.data.get(skip..).unwrap_or_default();
        let line = self.slot(record.stream).get_or_insert_with(|| Unfinished {
            time: record.time,
            data: Vec::new(),
            begun,
        });
        line.data.extend_from_slice(data);
    }

    fn hand_out(&mut self, stream: Stream, each: &mut impl FnMut(Lines)) {
        if let Some(Unfinished { time, data, .. }) = self.slot(stream).take() {
            each(self.lines(stream, time, data));
        }
    }

    fn lines(&mut self, stream: Stream, time: SystemTime, data: Vec<u8>) -> Lines {
        let lost = std::mem::take(&mut self.lost);
        Lines {
            stream,
            time,
            data,
            lost,
        }
    }

    fn begun(&mut self, stream: Stream) -> Option<&mut Unfinished> {
        self.slot(stream).as_mut()
    }

    fn slot(&mut self, stream: Stream) -> &mut Option<Unfinished> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

fn newline(data: &[u8]) -> Option<usize> {
    data.iter().position(|byte| *byte == b'\n')
}

fn last_newline(data: &[u8]) -> Option<usize> {
    data.iter().rposition(|byte| *byte == b'\n')
}

impl Lines {
    /// Returns how many lines there are; an unfinished one counts.
    pub fn count(&self) -> u64 {
        count(&self.data)
    }

    /// Drops lines at the beginning.
    pub fn skip(&mut self, lines: u64) {
        let ends = self.data.iter().enumerate().filter(|(_, b)| **b == b'\n');
        let end = match usize::try_from(lines).unwrap_or(usize::MAX).checked_sub(1) {
            None => return,
            Some(last) => ends.map(|(at, _)| at + 1).nth(last),
        };
        self.data.drain(..end.unwrap_or(self.data.len()));
    }
}

/// Counts lines; an unfinished one at the end counts.
pub(super) fn count(data: &[u8]) -> u64 {
    let ends = data.iter().filter(|byte| **byte == b'\n').count() as u64;
    ends + u64::from(data.last().is_some_and(|byte| *byte != b'\n'))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn at(second: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(second)
    }

    fn record(stream: Stream, second: u64, continues: bool, text: &str) -> Record {
        Record {
            stream,
            time: at(second),
            data: text.as_bytes().to_vec(),
            lost: 0,
            offset: second * 100,
            continues,
        }
    }

    fn push(splitter: &mut LineSplitter, record: Record) -> Vec<(u64, String)> {
        let mut found = Vec::new();
        splitter.push(record, |lines| found.push(show(lines)));
        found
    }

    fn show(lines: Lines) -> (u64, String) {
        let second = lines.time.duration_since(UNIX_EPOCH).unwrap().as_secs();
        (second, String::from_utf8(lines.data).unwrap())
    }

    #[test]
    fn a_line_in_pieces_has_the_time_of_its_first() {
        let mut splitter = LineSplitter::default();
        let first = push(
            &mut splitter,
            record(Stream::Stdout, 1, false, "a\none\nhal"),
        );
        assert_eq!(first, [(1, "a\none\n".to_owned())]);
        let other = push(&mut splitter, record(Stream::Stderr, 2, false, "other\n"));
        assert_eq!(other, [(2, "other\n".to_owned())]);
        let rest = push(&mut splitter, record(Stream::Stdout, 3, true, "f\nx\nrest"));
        assert_eq!(rest, [(1, "half\n".to_owned()), (3, "x\n".to_owned())]);
        let mut left = Vec::new();
        splitter.finish(|lines| left.push(show(lines)));
        assert_eq!(left, [(3, "rest".to_owned())]);
    }

    #[test]
    fn a_line_that_a_former_run_left_unfinished_is_one_of_its_own() {
        let mut splitter = LineSplitter::default();
        assert!(push(&mut splitter, record(Stream::Stdout, 1, false, "end")).is_empty());
        let next = push(&mut splitter, record(Stream::Stdout, 2, false, "begin\n"));
        assert_eq!(next, [(1, "end".to_owned()), (2, "begin\n".to_owned())]);
    }

    #[test]
    fn resumed_anywhere_nothing_is_lost_or_repeated() {
        let records = [
            record(Stream::Stdout, 1, false, "a\nb"),
            record(Stream::Stderr, 2, false, "X"),
            record(Stream::Stdout, 3, true, "c"),
            record(Stream::Stderr, 4, true, "Y\nZ\n"),
            record(Stream::Stdout, 5, true, "\nd\ne"),
        ];
        let mut whole = Vec::new();
        let mut splitter = LineSplitter::default();
        for record in records.clone() {
            splitter.push(record, |lines| whole.push(show(lines)));
        }
        splitter.finish(|lines| whole.push(show(lines)));
        for cut in 0..=records.len() {
            let mut found = Vec::new();
            let mut splitter = LineSplitter::default();
            for record in &records[..cut] {
                splitter.push(record.clone(), |lines| found.push(show(lines)));
            }
            let next = records.get(cut).map_or(600, |record| record.offset);
            let cursor = splitter.cursor(next);
            let mut splitter = LineSplitter::resume(cursor);
            for record in records.iter().filter(|r| r.offset >= cursor.first()) {
                splitter.push(record.clone(), |lines| found.push(show(lines)));
            }
            splitter.finish(|lines| found.push(show(lines)));
            assert_eq!(found, whole, "cut before record {cut}");
        }
    }

    #[test]
    fn lines_are_counted_and_skipped() {
        let mut lines = Lines {
            stream: Stream::Stdout,
            time: at(1),
            data: b"a\nb\nc".to_vec(),
            lost: 0,
        };
        assert_eq!(lines.count(), 3);
        lines.skip(2);
        assert_eq!(lines.data, b"c");
        lines.skip(0);
        assert_eq!(lines.count(), 1);
        lines.skip(5);
        assert_eq!(lines.count(), 0);
    }
}
