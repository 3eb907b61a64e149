//! Archives on their way between a thread that works on files and the connection to an agent.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};

use berth_proto::v1::{PutRequest, put_request};
use tokio::sync::mpsc;

/// Bytes in one message: large enough that passing it on costs little beside filling it.
pub(crate) const CHUNK: usize = 512 * 1024;

/// Chunks that wait for the files.
const WAITING: usize = 3;

/// Sends what is written to an agent.
pub(crate) struct ArchiveWriter {
    sender: mpsc::Sender<PutRequest>,
    buffer: Vec<u8>,
    sent: u64,
    shown: Box<dyn FnMut(usize) + Send>,
}

/// Reads what an agent sends.
pub(crate) struct ArchiveReader {
    chunks: mpsc::Receiver<io::Result<Vec<u8>>>,
    current: Vec<u8>,
    at: usize,
}

/// Returns the two ends of an archive's way from an agent to the files.
pub(crate) fn incoming() -> (mpsc::Sender<io::Result<Vec<u8>>>, ArchiveReader) {
    let (sender, chunks) = mpsc::channel(WAITING);
    let reader = ArchiveReader {
        chunks,
        current: Vec::new(),
        at: 0,
    };
    (sender, reader)
}

// === impl ArchiveWriter ===

impl ArchiveWriter {
    /// `shown` is told how many bytes went.
    pub(crate) fn new(
        sender: mpsc::Sender<PutRequest>,
        shown: impl FnMut(usize) + Send + 'static,
    ) -> Self {
        Self {
            sender,
            buffer: Vec::with_capacity(CHUNK),
            sent: 0,
            shown: Box::new(shown),
        }
    }

    /// Sends the bytes of a file without another copy. A file that became shorter ends in zeros, so
    /// that the archive stays whole.
    pub(super) fn copy(&mut self, file: &mut File, length: u64) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            let space = CHUNK - self.buffer.len();
            left -= berth_archive::read_padded(file, left.min(space as u64), &mut self.buffer)?;
            if self.buffer.len() >= CHUNK {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Returns how many bytes went.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }
}

impl Write for ArchiveWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..n]);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        let length = chunk.len();
        let message = PutRequest {
            message: Some(put_request::Message::Chunk(chunk)),
        };
        // An agent that listens no more has a reason, which its answer tells.
        self.sender
            .blocking_send(message)
            .map_err(|_closed| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.sent += length as u64;
        (self.shown)(length);
        Ok(())
    }
}

// === impl ArchiveReader ===

impl BufRead for ArchiveReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.current.len() {
            let Some(chunk) = self.chunks.blocking_recv() else {
                return Ok(&[]);
            };
            self.current = chunk?;
            self.at = 0;
        }
        Ok(&self.current[self.at..])
    }

    fn consume(&mut self, n: usize) {
        self.at = (self.at + n).min(self.current.len());
    }
}

impl Read for ArchiveReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let n = available.len().min(into.len());
        into[..n].copy_from_slice(&available[..n]);
        self.consume(n);
        Ok(n)
    }
}
