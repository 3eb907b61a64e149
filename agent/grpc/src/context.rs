//! Chunks of a request's stream as bytes to read.

use std::io;

use futures::{StreamExt as _, stream};
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio_util::bytes::Bytes;
use tokio_util::io::{ReaderStream, StreamReader};
use tokio_util::task::AbortOnDropHandle;
use tonic::Streaming;

/// Chunks that wait for a reader on another thread.
const AHEAD: usize = 8;

/// Bytes from an asynchronous reader for a thread that may block.
pub(crate) struct BlockingReader {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
    _pump: AbortOnDropHandle<()>,
}

/// Returns `source` as something that a blocking thread can read.
pub(crate) fn blocking(source: impl AsyncRead + Send + 'static) -> BlockingReader {
    let (sender, chunks) = mpsc::channel(AHEAD);
    let pump = tokio::spawn(async move {
        let mut source = Box::pin(ReaderStream::with_capacity(source, 64 * 1024));
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
        buffer[..n].copy_from_slice(&self.rest.split_to(n));
        Ok(n)
    }
}

/// Returns the bytes that `chunk` finds in the messages of `requests`. A client that goes away before
/// it has ended its side is an error, not an end: what it sent is not whole.
pub(crate) fn reader<M: Send + 'static>(
    requests: Streaming<M>,
    chunk: impl Fn(M) -> Vec<u8> + Send + Sync + Copy + 'static,
) -> impl AsyncRead + Send {
    let chunks = stream::unfold(requests, move |mut requests| async move {
        let message = requests.message().await.transpose()?;
        let bytes = message
            .map(|message| Bytes::from(chunk(message)))
            .map_err(|status| io::Error::new(io::ErrorKind::ConnectionAborted, status));
        Some((bytes, requests))
    });
    // An empty chunk would read as the end.
    let chunks = chunks.filter(|bytes| {
        let is_empty = bytes.as_ref().is_ok_and(Bytes::is_empty);
        std::future::ready(!is_empty)
    });
    StreamReader::new(Box::pin(chunks))
}
