//! The supervisor's end of the log.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::SystemTime;

use nix::sys::uio::pwritev;

use super::FILE_NAME;
use super::record::{HEADER, Header, Stream};

/// Appends records to a log; a record is in it completely or not at all.
#[derive(Debug)]
pub(crate) struct Writer {
    file: File,
    length: u64,
}

impl Writer {
    /// Opens the log of a bundle directory, and cuts off what a crash has torn.
    ///
    /// `known_length` is the length that the last exit record knew: up to there the log needs no check.
    pub(crate) fn open(bundle_dir: &Path, known_length: Option<u64>) -> io::Result<Self> {
        let path = bundle_dir.join(FILE_NAME);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let on_disk = file.metadata()?.len();
        let mut writer = Self {
            file,
            length: on_disk,
        };
        if known_length != Some(on_disk) && on_disk > 0 {
            writer.length =
                writer.whole_records(known_length.filter(|known| *known < on_disk), on_disk)?;
            writer.file.set_len(writer.length)?;
        }
        Ok(writer)
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Appends one record.
    pub(crate) fn append(
        &mut self,
        stream: Stream,
        time: SystemTime,
        data: &[u8],
    ) -> io::Result<()> {
        let header = Header {
            length: data.len(),
            stream,
            time,
        }
        .encode();
        let total = HEADER + data.len();
        let result = self.write_at_end(&header, data);
        match result {
            Ok(()) => {
                self.length += total as u64;
                Ok(())
            }
            Err(e) => {
                // Readers ignore an incomplete record at the end, so a failure to cut it off harms nobody.
                drop(self.file.set_len(self.length));
                Err(e)
            }
        }
    }

    fn write_at_end(&self, header: &[u8], data: &[u8]) -> io::Result<()> {
        let position = i64::try_from(self.length).map_err(io::Error::other)?;
        let written = pwritev(
            &self.file,
            &[IoSlice::new(header), IoSlice::new(data)],
            position,
        )?;
        if written == header.len() + data.len() {
            return Ok(());
        }
        // A short write happens when the disk gets full; the second attempt gets the error or the rest.
        let at = self.length + written as u64;
        match written.checked_sub(header.len()) {
            Some(from) => self
                .file
                .write_all_at(data.get(from..).unwrap_or_default(), at),
            None => {
                self.file
                    .write_all_at(header.get(written..).unwrap_or_default(), at)?;
                self.file
                    .write_all_at(data, self.length + header.len() as u64)
            }
        }
    }

    fn whole_records(&self, known: Option<u64>, on_disk: u64) -> io::Result<u64> {
        let mut offset = known.unwrap_or(0);
        let mut header = [0; HEADER];
        while offset + HEADER as u64 <= on_disk {
            self.file.read_exact_at(&mut header, offset)?;
            let Some(Header { length, .. }) = Header::decode(header) else {
                break;
            };
            let end = offset + (HEADER + length) as u64;
            if end > on_disk {
                break;
            }
            offset = end;
        }
        Ok(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reader;
    use super::*;

    #[test]
    fn what_a_crash_has_torn_is_cut_off_before_new_records() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path(), None).unwrap();
        writer
            .append(Stream::Stdout, SystemTime::now(), b"first")
            .unwrap();
        writer
            .append(Stream::Stdout, SystemTime::now(), b"second")
            .unwrap();
        let length = writer.length();
        writer.file().set_len(length - 2).unwrap();
        let mut writer = Writer::open(dir.path(), Some(length)).unwrap();
        writer
            .append(Stream::Stderr, SystemTime::now(), b"third")
            .unwrap();
        let mut reader = Reader::open(dir.path()).unwrap();
        let mut texts = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            texts.push(record.data);
        }
        assert_eq!(texts, [b"first".to_vec(), b"third".to_vec()]);
    }
}
