//! Log records on their way from a supervisor to the agent.

use std::io;

use crate::log::{HEADER, Header, Kind, Record, Stream};

/// How much is read at once.
const CHUNK: usize = 128 * 1024;

/// The longest piece that is put together of several records.
const PIECES: usize = 256 * 1024;

/// What has arrived and was not taken yet.
#[derive(Debug)]
pub(crate) struct Arrivals {
    buffer: Vec<u8>,
    /// What of the buffer was taken.
    taken: usize,
    /// Where in the log the next record begins.
    offset: u64,
    /// Bytes that are missing before it.
    lost: u64,
}

impl Arrivals {
    pub(crate) fn new(first: Vec<u8>, offset: u64) -> Self {
        Self {
            buffer: first,
            taken: 0,
            offset,
            lost: 0,
        }
    }

    /// Returns where in the log the next record begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the buffer with room at its end.
    pub(crate) fn room(&mut self) -> &mut Vec<u8> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.reserve(CHUNK);
        &mut self.buffer
    }

    /// Takes the next record if it has arrived completely.
    pub(crate) fn take(&mut self) -> io::Result<Option<Record>> {
        loop {
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let Some(data) = self.payload(&header) else {
                return Ok(None);
            };
            let data = data.to_vec();
            let offset = self.offset;
            match header.kind {
                // It is in no log.
                Kind::Skipped(bytes) => {
                    self.lost += bytes;
                    self.offset += bytes;
                    self.taken += header.total();
                }
                Kind::Lost(bytes) => {
                    self.lost += bytes;
                    self.advance(&header);
                }
                Kind::Output {
                    stream,
                    continues,
                    time,
                } => {
                    self.advance(&header);
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

    /// Adds to a record what directly follows it and is of the same stream.
    pub(crate) fn take_more(&mut self, record: &mut Record) -> io::Result<()> {
        while let Some(header) = self.header()? {
            if !is_of(&header, record.stream) || record.data.len() + header.length > PIECES {
                return Ok(());
            }
            let Some(data) = self.payload(&header) else {
                return Ok(());
            };
            record.data.extend_from_slice(data);
            self.advance(&header);
        }
        Ok(())
    }

    fn header(&self) -> io::Result<Option<Header>> {
        let rest = self.buffer.get(self.taken..).unwrap_or_default();
        match rest.first_chunk::<HEADER>() {
            None => Ok(None),
            Some(bytes) => match Header::decode(*bytes) {
                None => Err(io::ErrorKind::InvalidData.into()),
                header => Ok(header),
            },
        }
    }

    /// Returns the payload of the next record if all of it has arrived.
    fn payload(&self, header: &Header) -> Option<&[u8]> {
        let record = self.buffer.get(self.taken..)?.get(..header.total())?;
        record.get(HEADER..HEADER + header.length)
    }

    fn advance(&mut self, header: &Header) {
        self.taken += header.total();
        self.offset += header.total() as u64;
    }
}

fn is_of(header: &Header, wanted: Stream) -> bool {
    matches!(header.kind, Kind::Output { stream, .. } if stream == wanted)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn bytes(kind: Kind, data: &[u8], padding: u8) -> Vec<u8> {
        let header = Header {
            length: data.len(),
            padding,
            kind,
        };
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(data);
        bytes.resize(header.total(), 0);
        bytes
    }

    fn output(stream: Stream) -> Kind {
        Kind::Output {
            stream,
            continues: false,
            time: UNIX_EPOCH,
        }
    }

    #[test]
    fn records_come_whole_and_at_their_offsets_however_they_arrived() {
        let mut stream = bytes(output(Stream::Stdout), b"one", 0);
        stream.extend(bytes(Kind::Skipped(1000), b"", 0));
        stream.extend(bytes(Kind::Lost(5), b"", 0));
        stream.extend(bytes(output(Stream::Stderr), b"two", 7));
        stream.extend(bytes(output(Stream::Stderr), b"three", 0));
        let mut arrivals = Arrivals::new(Vec::new(), 100);
        let mut found = Vec::new();
        for byte in stream {
            arrivals.room().push(byte);
            while let Some(record) = arrivals.take().unwrap() {
                found.push((record.offset, record.lost, record.data));
            }
        }
        assert_eq!(
            found,
            [
                (100, 0, b"one".to_vec()),
                (100 + 19 + 1000 + 16, 1005, b"two".to_vec()),
                (100 + 19 + 1000 + 16 + 26, 0, b"three".to_vec()),
            ]
        );
    }

    #[test]
    fn pieces_of_one_stream_are_put_together() {
        let mut stream = bytes(output(Stream::Stdout), b"a", 3);
        stream.extend(bytes(output(Stream::Stdout), b"b", 0));
        stream.extend(bytes(output(Stream::Stderr), b"c", 0));
        stream.extend(&bytes(output(Stream::Stderr), b"torn", 0)[..18]);
        let mut arrivals = Arrivals::new(stream, 0);
        let mut record = arrivals.take().unwrap().unwrap();
        arrivals.take_more(&mut record).unwrap();
        assert_eq!(record.data, b"ab");
        let mut record = arrivals.take().unwrap().unwrap();
        arrivals.take_more(&mut record).unwrap();
        assert_eq!(record.data, b"c");
        assert!(arrivals.take().unwrap().is_none());
    }
}
