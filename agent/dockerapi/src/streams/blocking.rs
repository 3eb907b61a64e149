//! Bodies for threads that may block.

use std::io;

use bytes::{Buf as _, Bytes};
use futures::StreamExt as _;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;
use tokio_util::task::AbortOnDropHandle;

/// Chunks that wait for the thread.
const AHEAD: usize = 4;
/// Bytes of a chunk.
const CHUNK: usize = 64 * 1024;

/// Bytes from an asynchronous source for a thread that may block.
pub(crate) struct BlockingReader {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
    _pump: AbortOnDropHandle<()>,
}

/// Returns `source` as something that a blocking thread can read.
pub(crate) fn reader(source: impl AsyncRead + Send + 'static) -> BlockingReader {
    let (sender, chunks) = mpsc::channel(AHEAD);
    let pump = tokio::spawn(async move {
        let mut source = Box::pin(ReaderStream::with_capacity(source, CHUNK));
        while let Some(chunk) = source.next().await {
            if sender.send(chunk).await.is_err() {
                return;
            }
        }
    });
    BlockingReader {
        chunks,
        rest: Bytes::new(),
        _pump: AbortOnDropHandle::new(pump),
    }
}

impl io::Read for BlockingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.rest = chunk?,
                None => return Ok(0),
            }
        }
        let n = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..n]);
        Ok(n)
    }
}
