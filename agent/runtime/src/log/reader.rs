//! Reads a container's log without its supervisor.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::log::record::{Line, Record, Stream};

/// Which lines of a log are wanted.
#[derive(Clone, Debug, Default)]
pub struct LogSelection {
    /// Only lines from this time on.
    pub since: Option<SystemTime>,
    /// Only lines before this time.
    pub until: Option<SystemTime>,
    /// Only this stream.
    pub stream: Option<Stream>,
    /// Only this many of the last lines (after the other conditions).
    pub tail: Option<u64>,
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
    /// A record's header is not one.
    #[error("log {path} is damaged at byte {offset}")]
    Damaged {
        /// The log's file.
        path: PathBuf,
        /// Where the damaged record begins.
        offset: u64,
    },
}

/// Iterates over the whole records of a log, as far as it is written now.
#[derive(Debug)]
pub struct Reader {}

impl Reader {
    /// Opens the log of the container with this bundle directory.
    ///
    /// # Errors
    /// Fails when the file cannot be opened; a missing file reads as an empty log.
    pub fn open(bundle_dir: &Path) -> Result<Self, ReadLogError> {
        let _ = bundle_dir;
        todo!()
    }

    /// Returns the next record; `None` at the end of what is completely written.
    ///
    /// # Errors
    /// Fails when the file cannot be read or is damaged.
    pub fn next_record(&mut self) -> Result<Option<Record>, ReadLogError> {
        todo!()
    }

    /// Returns where the next record begins; an attachment can go on from there (see [`Self::seek`]).
    pub fn offset(&self) -> u64 {
        todo!()
    }

    /// Goes on at `offset`, which must be where a record begins.
    pub fn seek(&mut self, offset: u64) {
        let _ = offset;
        todo!()
    }

    /// Hands the selected lines to `each` in the order of their completion, until it returns false.
    ///
    /// # Errors
    /// Fails when the file cannot be read or is damaged.
    pub fn for_each_line(
        &mut self,
        selection: &LogSelection,
        each: impl FnMut(Line) -> bool,
    ) -> Result<(), ReadLogError> {
        let _ = (selection, each);
        todo!()
    }
}
