//! Taking compression off what arrives.

use std::io::{self, Read as _, Write};
use std::pin::Pin;

use berth_agent_images::{Compression, decompress};
use bytes::Bytes;
use futures::stream;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;

use crate::error::ApiError;
use crate::streams::blocking;

/// An archive that is not compressed.
pub(crate) type Plain = Pin<Box<dyn AsyncRead + Send>>;

/// Bytes by which compression is told.
const BEGINNING: u64 = 16;
/// Decompressed pieces that wait for their reader.
const AHEAD: usize = 4;
/// Bytes of such a piece.
const PIECE: usize = 64 * 1024;

/// Takes compression off.
///
/// # Errors
/// When nothing can be read.
pub(crate) async fn plain(mut body: Plain) -> Result<Plain, ApiError> {
    let mut start = Vec::new();
    let mut beginning = AsyncReadExt::take(&mut body, BEGINNING);
    let read = AsyncReadExt::read_to_end(&mut beginning, &mut start).await;
    read.map_err(reading)?;
    let compression = Compression::detect(&start);
    let whole = AsyncReadExt::chain(io::Cursor::new(start), body);
    if compression == Compression::None {
        return Ok(Box::pin(whole));
    }
    let (sender, pieces) = mpsc::channel::<io::Result<Bytes>>(AHEAD);
    let source = blocking::reader(whole);
    tokio::task::spawn_blocking(move || {
        let mut writer = PieceWriter(sender.clone());
        if let Err(error) = unpack(source, &mut writer) {
            // A build that has ended does not need the rest.
            drop(sender.blocking_send(Err(error)));
        }
    });
    let pieces = stream::unfold(pieces, |mut pieces| async move {
        Some((pieces.recv().await?, pieces))
    });
    Ok(Box::pin(StreamReader::new(Box::pin(pieces))))
}

fn unpack(source: blocking::BlockingReader, writer: &mut PieceWriter) -> io::Result<()> {
    let mut source = io::BufReader::with_capacity(PIECE, source);
    let mut decoded = decompress(&mut source)?;
    let mut piece = vec![0; PIECE];
    loop {
        match decoded.read(&mut piece)? {
            0 => return Ok(()),
            n => writer.write_all(&piece[..n])?,
        }
    }
}

struct PieceWriter(mpsc::Sender<io::Result<Bytes>>);

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_gone| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is said when the other side does not send all.
pub(crate) fn reading(error: io::Error) -> ApiError {
    ApiError::bad_request(format!("reading the build's context: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn compressed_or_not_the_bytes_are_the_same() {
        let text = "some bytes ".repeat(50_000);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).expect("compression");
        let compressed = encoder.finish().expect("compression");
        for bytes in [compressed, text.clone().into_bytes()] {
            let mut read = String::new();
            let mut found = plain(Box::pin(io::Cursor::new(bytes)))
                .await
                .expect("plain");
            AsyncReadExt::read_to_string(&mut found, &mut read)
                .await
                .expect("text");
            assert!(read == text);
        }
    }

    #[tokio::test]
    async fn what_is_cut_off_is_no_end() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&[7; 100_000]).expect("compression");
        let mut compressed = encoder.finish().expect("compression");
        compressed.truncate(compressed.len() / 2);
        let mut found = plain(Box::pin(io::Cursor::new(compressed)))
            .await
            .expect("begins");
        let mut read = Vec::new();
        AsyncReadExt::read_to_end(&mut found, &mut read)
            .await
            .expect_err("cut off");
    }
}
