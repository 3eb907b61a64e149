//! The few lines of HTTP before the first call.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// What a client sends. Go takes bare line feeds, and so did every plugin that was ever seen.
const REQUEST: &[u8] = b"CONNECT /_goRPC_ HTTP/1.0\n\n";
const ANSWER: &[u8] = b"HTTP/1.0 200 Connected to Go RPC\n\n";
const REFUSAL: &[u8] = b"HTTP/1.0 405 must CONNECT\nContent-Type: text/plain; charset=utf-8\n\n\
                         405 must CONNECT\n";
/// The most bytes of either side's lines.
const MAX_HEAD: usize = 4096;

/// Asks for a connection.
pub(crate) async fn connect(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.write_all(REQUEST).await?;
    let head = head(stream).await?;
    let first = head.lines().next().unwrap_or_default();
    let mut words = first.split_ascii_whitespace();
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    if is_http && words.next() == Some("200") {
        return Ok(());
    }
    Err(invalid(format!("it answered {first:?} instead of Go RPC")))
}

/// Grants a connection to whoever asks for one in the right way.
pub(crate) async fn accept(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let head = head(stream).await?;
    let first = head.lines().next().unwrap_or_default();
    let mut words = first.split_ascii_whitespace();
    if (words.next(), words.next()) == (Some("CONNECT"), Some("/_goRPC_")) {
        return stream.write_all(ANSWER).await;
    }
    stream.write_all(REFUSAL).await?;
    Err(invalid(format!("a client asked for {first:?}")))
}

/// Reads lines up to an empty one, and not a byte more.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\n\n") && !bytes.ends_with(b"\n\r\n") {
        if bytes.len() == MAX_HEAD {
            return Err(invalid("its answer is no HTTP".to_owned()));
        }
        bytes.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
