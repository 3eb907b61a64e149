//! A place in a log from which reading goes on without losing or repeating anything.

use std::fmt;
use std::str::FromStr;

use super::record::Stream;

/// A place in a log: the next record, and where lines began that were not complete yet.
///
/// Its text is for nobody but this room.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cursor {
    /// Where the next record begins.
    pub(super) next: u64,
    pub(super) stdout: Option<Begun>,
    pub(super) stderr: Option<Begun>,
}

/// Where an unfinished line begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Begun {
    /// The record.
    pub(super) offset: u64,
    /// Bytes of its payload that belong to earlier lines.
    pub(super) skip: usize,
}

/// A text is no cursor.
#[derive(Debug, thiserror::Error)]
#[error("not a place in a log")]
pub struct InvalidCursor;

impl Cursor {
    /// Returns where reading has to begin.
    pub fn first(&self) -> u64 {
        let begun = self.stdout.iter().chain(&self.stderr);
        begun
            .map(|begun| begun.offset)
            .fold(self.next, |first, offset| first.min(offset))
    }

    pub(super) fn begun(&self, stream: Stream) -> Option<Begun> {
        match stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.next)?;
        for begun in [self.stdout, self.stderr] {
            match begun {
                Some(Begun { offset, skip }) => write!(f, ";{offset}+{skip}")?,
                None => f.write_str(";")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let mut parts = text.split(';');
        let number = |text: &str| text.parse().map_err(|_error| InvalidCursor);
        let next = number(parts.next().unwrap_or_default())?;
        let mut begun = || -> Result<Option<Begun>, InvalidCursor> {
            let part = parts.next().ok_or(InvalidCursor)?;
            if part.is_empty() {
                return Ok(None);
            }
            let (offset, skip) = part.split_once('+').ok_or(InvalidCursor)?;
            let skip = skip.parse().map_err(|_error| InvalidCursor)?;
            let offset = number(offset)?;
            Ok(Some(Begun { offset, skip }))
        };
        let (stdout, stderr) = (begun()?, begun()?);
        match parts.next() {
            None => Ok(Self {
                next,
                stdout,
                stderr,
            }),
            Some(_) => Err(InvalidCursor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_way_to_text_and_back() {
        let begun = |offset, skip| Some(Begun { offset, skip });
        for (stdout, stderr) in [(None, None), (begun(3, 0), None), (None, begun(1, 9))] {
            let cursor = Cursor {
                next: 100,
                stdout,
                stderr,
            };
            assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        }
        for text in ["", "x;;", "1", "1;2", "1;;;", "1;2;"] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }
}
