//! One piece of output, its header, and lines made of pieces.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::exit::{from_unix_nanos, unix_nanos};

/// Length of a record's header.
pub(crate) const HEADER: usize = 16;

/// The longest payload; a header that announces more is damaged.
pub(crate) const MAX_PAYLOAD: usize = 1 << 20;

/// Where a piece of output came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One piece of output, as it was read from the process; not necessarily a whole line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Where it came from.
    pub stream: Stream,
    /// When it was read.
    pub time: SystemTime,
    /// The bytes.
    pub data: Vec<u8>,
}

/// What stands before a record's payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    pub(crate) length: usize,
    pub(crate) stream: Stream,
    pub(crate) time: SystemTime,
}

impl Header {
    pub(crate) fn encode(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let length = u32::try_from(self.length).unwrap_or(u32::MAX);
        let stream = match self.stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
        };
        let (first, rest) = bytes.split_at_mut(4);
        first.copy_from_slice(&length.to_le_bytes());
        let (kind, time) = rest.split_at_mut(4);
        kind.copy_from_slice(&[stream, 0, 0, 0]);
        time.copy_from_slice(&unix_nanos(self.time).to_le_bytes());
        bytes
    }

    /// Returns nothing for bytes that are no header.
    pub(crate) fn decode(bytes: [u8; HEADER]) -> Option<Self> {
        let [l0, l1, l2, l3, kind, 0, 0, 0, time @ ..] = bytes else {
            return None;
        };
        let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok()?;
        let stream = match kind {
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            _ => return None,
        };
        if length > MAX_PAYLOAD {
            return None;
        }
        Some(Self {
            length,
            stream,
            time: from_unix_nanos(u64::from_le_bytes(time)),
        })
    }
}

/// One line of output, with its newline (the last line of a stream may have none).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// Where it came from.
    pub stream: Stream,
    /// When its first byte was read.
    pub time: SystemTime,
    /// The bytes.
    pub data: Vec<u8>,
}

/// Makes lines of records; keeps the beginning of an unfinished line for each stream.
#[derive(Debug, Default)]
pub struct LineSplitter {
    stdout: Option<Line>,
    stderr: Option<Line>,
}

impl LineSplitter {
    /// Longest unfinished line that is kept: a longer one is handed out in pieces, as a log without a newline would
    /// otherwise end up in memory.
    const MAX_UNFINISHED: usize = 1 << 20;

    /// Takes a record and returns the lines that it completes.
    pub fn push(&mut self, record: &Record) -> Vec<Line> {
        let Record { stream, time, data } = record;
        let unfinished = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let mut lines = Vec::new();
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            let line = unfinished.get_or_insert_with(|| Line {
                stream: *stream,
                time: *time,
                data: Vec::new(),
            });
            line.data.extend_from_slice(piece);
            if piece.ends_with(b"\n") || line.data.len() >= Self::MAX_UNFINISHED {
                lines.extend(unfinished.take());
            }
        }
        lines
    }

    /// Returns what is left of unfinished lines.
    pub fn finish(self) -> Vec<Line> {
        let mut lines: Vec<Line> = self.stdout.into_iter().chain(self.stderr).collect();
        lines.sort_by_key(|line| line.time);
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn record(stream: Stream, second: u64, text: &str) -> Record {
        Record {
            stream,
            time: UNIX_EPOCH + Duration::from_secs(second),
            data: text.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_header_survives_the_way_to_bytes_and_back() {
        let header = Header {
            length: 65_536,
            stream: Stream::Stderr,
            time: UNIX_EPOCH + Duration::new(7, 9),
        };
        assert_eq!(Header::decode(header.encode()), Some(header));
        assert_eq!(Header::decode([0xff; HEADER]), None);
    }

    #[test]
    fn a_line_in_pieces_has_the_time_of_its_first() {
        let mut splitter = LineSplitter::default();
        assert_eq!(
            splitter.push(&record(Stream::Stdout, 1, "one\nhal")).len(),
            1
        );
        assert_eq!(
            splitter.push(&record(Stream::Stderr, 2, "other\n")).len(),
            1
        );
        let line = splitter
            .push(&record(Stream::Stdout, 3, "f\nrest"))
            .remove(0);
        assert_eq!(
            (line.data.as_slice(), line.time),
            (&b"half\n"[..], UNIX_EPOCH + Duration::from_secs(1))
        );
        let rest = splitter.finish();
        assert_eq!(rest.len(), 1);
        assert_eq!(rest[0].data, b"rest");
    }
}
