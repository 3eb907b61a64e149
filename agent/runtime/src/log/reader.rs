//! Reads a container's log without its supervisor.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::FILE_NAME;
use super::record::{HEADER, Header, Line, LineSplitter, Record, Stream};

/// How much is read at once.
const CHUNK: usize = 128 * 1024;

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

impl LogSelection {
    fn wants(&self, line: &Line) -> bool {
        self.since.is_none_or(|since| line.time >= since)
            && self.until.is_none_or(|until| line.time < until)
            && self.stream.is_none_or(|stream| line.stream == stream)
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
pub struct Reader {
    path: PathBuf,
    file: Option<File>,
    /// Where the next record begins.
    offset: u64,
    /// What has been read ahead, and where in the file it begins.
    ahead: Vec<u8>,
    ahead_at: u64,
}

impl Reader {
    /// Opens the log of the container with this bundle directory.
    ///
    /// # Errors
    /// Fails when the file cannot be opened; a missing file reads as an empty log.
    pub fn open(bundle_dir: &Path) -> Result<Self, ReadLogError> {
        let path = bundle_dir.join(FILE_NAME);
        let file = match File::open(&path) {
            Ok(file) => Some(file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(ReadLogError::Io { path, source }),
        };
        Ok(Self {
            path,
            file,
            offset: 0,
            ahead: Vec::new(),
            ahead_at: 0,
        })
    }

    /// Returns the next record; `None` at the end of what is completely written.
    ///
    /// # Errors
    /// Fails when the file cannot be read or is damaged.
    pub fn next_record(&mut self) -> Result<Option<Record>, ReadLogError> {
        let Some(header) = self.bytes(self.offset, HEADER)? else {
            return Ok(None);
        };
        let header = <[u8; HEADER]>::try_from(header)
            .ok()
            .and_then(Header::decode);
        let Some(Header {
            length,
            stream,
            time,
        }) = header
        else {
            return Err(ReadLogError::Damaged {
                path: self.path.clone(),
                offset: self.offset,
            });
        };
        let begin = self.offset + HEADER as u64;
        let Some(data) = self.bytes(begin, length)? else {
            return Ok(None);
        };
        let data = data.to_vec();
        self.offset = begin + length as u64;
        Ok(Some(Record { stream, time, data }))
    }

    /// Returns where the next record begins; reading can go on from there later (see [`Self::seek`]).
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes on at `offset`, which must be where a record begins.
    pub fn seek(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// Hands the selected lines to `each` in the order of their completion, until it returns false.
    ///
    /// With `tail` the log is read to its end first; only the lines that are handed out are kept in memory.
    ///
    /// # Errors
    /// Fails when the file cannot be read or is damaged.
    pub fn for_each_line(
        &mut self,
        selection: &LogSelection,
        mut each: impl FnMut(Line) -> bool,
    ) -> Result<(), ReadLogError> {
        let Some(tail) = selection.tail else {
            return self.scan(selection, &mut each);
        };
        let tail = usize::try_from(tail).unwrap_or(usize::MAX);
        let mut kept = VecDeque::new();
        if tail > 0 {
            self.scan(selection, &mut |line| {
                if kept.len() == tail {
                    kept.pop_front();
                }
                kept.push_back(line);
                true
            })?;
        } else {
            self.scan(&LogSelection::default(), &mut |_| true)?;
        }
        for line in kept {
            if !each(line) {
                break;
            }
        }
        Ok(())
    }

    fn scan(
        &mut self,
        selection: &LogSelection,
        each: &mut dyn FnMut(Line) -> bool,
    ) -> Result<(), ReadLogError> {
        let mut splitter = LineSplitter::default();
        while let Some(record) = self.next_record()? {
            for line in splitter.push(&record) {
                if selection.wants(&line) && !each(line) {
                    return Ok(());
                }
            }
        }
        for line in splitter.finish() {
            if selection.wants(&line) && !each(line) {
                break;
            }
        }
        Ok(())
    }

    /// Returns `length` bytes at `offset`, or nothing when the file ends before.
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
        self.ahead.resize(length, 0);
        let mut filled = 0;
        if let Some(file) = &self.file {
            while let Some(rest) = self.ahead.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                match file.read_at(rest, offset + filled as u64) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(source) => {
                        return Err(ReadLogError::Io {
                            path: self.path.clone(),
                            source,
                        });
                    }
                }
            }
        }
        self.ahead.truncate(filled);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn log(records: &[(Stream, u64, &[u8])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let mut file = File::create(dir.path().join(FILE_NAME)).unwrap();
        for (stream, second, data) in records {
            let time = UNIX_EPOCH + Duration::from_secs(*second);
            file.write_all(
                &Header {
                    length: data.len(),
                    stream: *stream,
                    time,
                }
                .encode(),
            )
            .unwrap();
            file.write_all(data).unwrap();
        }
        dir
    }

    fn lines(dir: &tempfile::TempDir, selection: &LogSelection) -> Vec<String> {
        let mut found = Vec::new();
        let mut reader = Reader::open(dir.path()).unwrap();
        reader
            .for_each_line(selection, |line| {
                found.push(String::from_utf8(line.data).unwrap());
                true
            })
            .unwrap();
        found
    }

    #[test]
    fn lines_are_selected_by_stream_time_and_tail() {
        let dir = log(&[
            (Stream::Stdout, 1, b"a\nb\n"),
            (Stream::Stderr, 2, b"c\n"),
            (Stream::Stdout, 3, b"d\n"),
            (Stream::Stdout, 4, b"e"),
        ]);
        let all = LogSelection::default();
        assert_eq!(lines(&dir, &all), ["a\n", "b\n", "c\n", "d\n", "e"]);
        assert_eq!(
            lines(
                &dir,
                &LogSelection {
                    tail: Some(2),
                    ..all.clone()
                }
            ),
            ["d\n", "e"]
        );
        assert_eq!(
            lines(
                &dir,
                &LogSelection {
                    tail: Some(0),
                    ..all.clone()
                }
            ),
            Vec::<String>::new()
        );
        assert_eq!(
            lines(
                &dir,
                &LogSelection {
                    stream: Some(Stream::Stderr),
                    ..all.clone()
                }
            ),
            ["c\n"]
        );
        let at = |second| Some(UNIX_EPOCH + Duration::from_secs(second));
        assert_eq!(
            lines(
                &dir,
                &LogSelection {
                    since: at(2),
                    until: at(4),
                    ..all
                }
            ),
            ["c\n", "d\n"]
        );
    }

    #[test]
    fn a_record_longer_than_the_read_ahead_comes_whole() {
        let long = vec![b'x'; 3 * CHUNK];
        let dir = log(&[(Stream::Stdout, 1, &long), (Stream::Stderr, 2, b"after")]);
        let mut reader = Reader::open(dir.path()).unwrap();
        assert_eq!(reader.next_record().unwrap().unwrap().data, long);
        assert_eq!(reader.next_record().unwrap().unwrap().data, b"after");
        assert_eq!(reader.next_record().unwrap(), None);
    }

    #[test]
    fn a_torn_record_at_the_end_is_not_there_yet() {
        let dir = log(&[
            (Stream::Stdout, 1, b"whole"),
            (Stream::Stdout, 2, b"torn off"),
        ]);
        let path = dir.path().join(FILE_NAME);
        let length = std::fs::metadata(&path).unwrap().len();
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(length - 3)
            .unwrap();
        let mut reader = Reader::open(dir.path()).unwrap();
        assert_eq!(reader.next_record().unwrap().unwrap().data, b"whole");
        let offset = reader.offset();
        assert_eq!(reader.next_record().unwrap(), None);
        assert_eq!(reader.offset(), offset);
    }

    #[test]
    fn damage_is_named_with_its_place() {
        let dir = log(&[(Stream::Stdout, 1, b"x")]);
        let mut file = File::options()
            .append(true)
            .open(dir.path().join(FILE_NAME))
            .unwrap();
        file.write_all(&[0xee; 40]).unwrap();
        let mut reader = Reader::open(dir.path()).unwrap();
        reader.next_record().unwrap();
        assert!(matches!(
            reader.next_record().unwrap_err(),
            ReadLogError::Damaged { offset: 17, .. }
        ));
    }

    #[test]
    fn a_missing_log_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(lines(&dir, &LogSelection::default()), Vec::<String>::new());
    }
}
