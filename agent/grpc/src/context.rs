//! Chunks of a request's stream as bytes to read.

use std::io;

use futures::{StreamExt as _, stream};
use tokio::io::AsyncRead;
use tokio_util::bytes::Bytes;
use tokio_util::io::StreamReader;
use tonic::Streaming;

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
