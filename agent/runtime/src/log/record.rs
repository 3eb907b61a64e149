//! One piece of output, and lines made of pieces.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

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
pub struct LineSplitter {}

impl LineSplitter {
    /// Takes a record and returns the lines that it completes.
    pub fn push(&mut self, record: &Record) -> Vec<Line> {
        let _ = record;
        todo!()
    }

    /// Returns what is left of unfinished lines.
    pub fn finish(self) -> Vec<Line> {
        todo!()
    }
}
