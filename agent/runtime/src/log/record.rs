//! One piece of output, and its header.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::exit::{from_unix_nanos, unix_nanos};

/// Length of a record's header.
pub(crate) const HEADER: usize = 16;

/// The longest payload; a header that announces more is damaged.
pub(crate) const MAX_PAYLOAD: usize = 1 << 20;

/// Flag of a piece that goes on in a line which an earlier record of its stream has begun.
const CONTINUES: u8 = 1;

/// Kind of a record without payload whose time is a number of bytes that are missing here.
const LOST: u8 = 3;

/// Kind of a record that is in no log: what is sent goes on so many bytes later.
const SKIPPED: u8 = 4;

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
    /// Bytes that are missing before this piece: the disk was full, or rotation has removed them before they were read.
    pub lost: u64,
    /// Where in the log the record begins; 0 for what is in no log.
    pub offset: u64,
    /// Whether it goes on in a line that an earlier record of its stream has begun.
    pub continues: bool,
}

/// What a record stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Output {
        stream: Stream,
        continues: bool,
        time: SystemTime,
    },
    /// So many bytes are missing.
    Lost(u64),
    /// What is sent to an attached client goes on so many bytes of the log later.
    Skipped(u64),
}

/// What stands before a record's payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    pub(crate) length: usize,
    /// Bytes after the payload that belong to the record.
    pub(crate) padding: u8,
    pub(crate) kind: Kind,
}

impl Header {
    /// Returns the length of the whole record.
    pub(crate) fn total(&self) -> usize {
        HEADER + self.length + usize::from(self.padding)
    }

    pub(crate) fn encode(self) -> [u8; HEADER] {
        let length = u32::try_from(self.length).unwrap_or(u32::MAX);
        let (kind, flags, number) = match self.kind {
            Kind::Output {
                stream,
                continues,
                time,
            } => {
                let kind = match stream {
                    Stream::Stdout => 1,
                    Stream::Stderr => 2,
                };
                let flags = if continues { CONTINUES } else { 0 };
                (kind, flags, unix_nanos(time))
            }
            Kind::Lost(bytes) => (LOST, 0, bytes),
            Kind::Skipped(bytes) => (SKIPPED, 0, bytes),
        };
        let mut bytes = [0; HEADER];
        let (first, rest) = bytes.split_at_mut(4);
        first.copy_from_slice(&length.to_le_bytes());
        let (middle, last) = rest.split_at_mut(4);
        middle.copy_from_slice(&[kind, self.padding, flags, 0]);
        last.copy_from_slice(&number.to_le_bytes());
        bytes
    }

    /// Returns nothing for bytes that are no header.
    pub(crate) fn decode(bytes: [u8; HEADER]) -> Option<Self> {
        let [l0, l1, l2, l3, kind, padding, flags, 0, number @ ..] = bytes else {
            return None;
        };
        let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok()?;
        let number = u64::from_le_bytes(number);
        if length > MAX_PAYLOAD || usize::from(padding) > HEADER || flags & !CONTINUES != 0 {
            return None;
        }
        let output = |stream| Kind::Output {
            stream,
            continues: flags & CONTINUES != 0,
            time: from_unix_nanos(number),
        };
        let kind = match kind {
            1 => output(Stream::Stdout),
            2 => output(Stream::Stderr),
            LOST if length == 0 => Kind::Lost(number),
            SKIPPED if length == 0 => Kind::Skipped(number),
            _ => return None,
        };
        Some(Self {
            length,
            padding,
            kind,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_header_survives_the_way_to_bytes_and_back() {
        let output = Header {
            length: 65_536,
            padding: 16,
            kind: Kind::Output {
                stream: Stream::Stderr,
                continues: true,
                time: UNIX_EPOCH + Duration::new(7, 9),
            },
        };
        let lost = Header {
            length: 0,
            padding: 0,
            kind: Kind::Lost(77),
        };
        for header in [output, lost] {
            assert_eq!(Header::decode(header.encode()), Some(header));
        }
        assert_eq!(Header::decode([0xff; HEADER]), None);
        assert_eq!(Header::decode([0; HEADER]), None);
    }
}
