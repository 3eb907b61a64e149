//! Serves one connection, whatever it came over.

use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::service::Face;

/// Headers of a request altogether.
const LONGEST_HEADERS: u32 = 32 * 1024;
/// Calls at once on a connection.
const STREAMS: u32 = 256;
/// Bytes on their way in a stream, for contexts and root filesystems that arrive.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// Bytes on their way in a connection.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Bytes that wait for a slow client of one stream.
const SEND_BUFFER: usize = 256 * 1024;
/// How often a silent client is asked for a sign of life.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Longest time for headers of HTTP/1.1, and between two requests, since clients keep connections for
/// later; dockerd's.
const HEADER_TIMEOUT: Duration = Duration::from_secs(300);
/// Bytes of the headers of a request of HTTP/1.1, among them credentials for many registries.
const LONGEST_HEAD: usize = 128 * 1024;

/// Serves a connection until its end, or until a call takes it over. When `stopping` is cancelled, calls under way may finish.
pub(crate) async fn serve<S>(stream: S, face: Face, stopping: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let builder = builder();
    let service = TowerToHyperService::new(face);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        // Cancel-safe: the connection is polled again below.
        result = connection.as_mut() => result,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        // Clients come and go as they like.
        tracing::debug!(error = %error, "connection ended");
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(LONGEST_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_header_list_size(LONGEST_HEADERS)
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    builder
}
