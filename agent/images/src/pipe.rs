//! A bounded pipe between two threads, whose buffers go round instead of being copied.

use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// Large enough that passing it on costs nothing beside filling it.
const BUFFER: usize = 256 * 1024;

/// How many full buffers may wait.
const WAITING: usize = 3;

/// The end that is written to; dropping it ends the stream.
#[derive(Debug)]
pub(crate) struct PipeWriter {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    buffer: Vec<u8>,
    n_buffers: usize,
}

/// The end that is read from.
#[derive(Debug)]
pub(crate) struct PipeReader {
    full: Receiver<Vec<u8>>,
    empty: Sender<Vec<u8>>,
    buffer: Vec<u8>,
    at: usize,
}

pub(crate) fn pipe() -> (PipeWriter, PipeReader) {
    let (full_sender, full_receiver) = sync_channel(WAITING);
    let (empty_sender, empty_receiver) = channel();
    let writer = PipeWriter {
        full: full_sender,
        empty: empty_receiver,
        buffer: Vec::with_capacity(BUFFER),
        n_buffers: 1,
    };
    let reader = PipeReader {
        full: full_receiver,
        empty: empty_sender,
        buffer: Vec::new(),
        at: 0,
    };
    (writer, reader)
}

impl PipeWriter {
    /// Returns the buffer to fill, as long as it is, and its unused rest is.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.buffer.resize(BUFFER, 0);
        &mut self.buffer
    }

    /// Sends the first `length` bytes of the space; false when nobody reads any more.
    pub(crate) fn send(&mut self, length: usize) -> bool {
        self.buffer.truncate(length);
        let next = match self.empty.try_recv() {
            Ok(buffer) => buffer,
            Err(_none_is_free) if self.n_buffers < WAITING + 2 => {
                self.n_buffers += 1;
                Vec::with_capacity(BUFFER)
            }
            Err(_none_is_free) => self.empty.recv().unwrap_or_default(),
        };
        let full = std::mem::replace(&mut self.buffer, next);
        self.full.send(full).is_ok()
    }
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(BUFFER - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..n]);
        if self.buffer.len() == BUFFER {
            self.flush()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        let length = self.buffer.len();
        if length > 0 && !self.send(length) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.buffer.clear();
        Ok(())
    }
}

impl BufRead for PipeReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.buffer.len() {
            let spent = std::mem::take(&mut self.buffer);
            if spent.capacity() > 0 {
                // Without a writer nobody wants the buffer back.
                let _ = self.empty.send(spent);
            }
            self.buffer = self.full.recv().unwrap_or_default();
            self.at = 0;
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, n: usize) {
        self.at = (self.at + n).min(self.buffer.len());
    }
}

impl Read for PipeReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let n = available.len().min(into.len());
        into[..n].copy_from_slice(&available[..n]);
        self.consume(n);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::{BUFFER, pipe};

    #[test]
    fn everything_arrives_in_order_through_few_buffers() {
        let (mut writer, mut reader) = pipe();
        let text: Vec<u8> = (0..BUFFER * 9 + 17)
            .map(|n| u8::try_from(n % 251).unwrap())
            .collect();
        let expected = text.clone();
        let thread = std::thread::spawn(move || {
            writer.write_all(&text).expect("write");
            writer.flush().expect("flush");
            assert!(writer.n_buffers <= super::WAITING + 2);
        });
        let mut found = Vec::new();
        reader.read_to_end(&mut found).expect("read");
        thread.join().expect("writer");
        assert!(found == expected);
    }

    #[test]
    fn a_writer_without_reader_is_told() {
        let (mut writer, reader) = pipe();
        drop(reader);
        writer.write_all(b"x").expect("buffered");
        assert!(writer.flush().is_err());
    }
}
