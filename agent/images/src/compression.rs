//! Telling compressions apart and undoing them.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

/// How a layer's tar is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Gzip, of one or more members.
    Gzip,
    /// Zstandard, of one or more frames.
    Zstd,
}

impl Compression {
    /// How many bytes [`Compression::detect`] wants to see.
    const MAGIC: usize = 4;

    /// Tells the compression from the first bytes; the names that registries give are not trusted.
    #[must_use]
    pub fn detect(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A frame to be skipped, with which seekable archives may begin.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// Returns a reader of the decompressed content, whatever the compression is.
///
/// # Errors
///
/// Fails when the beginning cannot be read.
pub fn decompress<'a>(
    mut reader: impl BufRead + Send + 'a,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut start = Vec::with_capacity(Compression::MAGIC);
    // The buffer of the reader may be shorter than the magic.
    (&mut reader)
        .take(Compression::MAGIC as u64)
        .read_to_end(&mut start)?;
    let compression = Compression::detect(&start);
    let whole = BufReader::with_capacity(64, io::Cursor::new(start)).chain(reader);
    Ok(match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(MultiGzDecoder::new(whole)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(whole)?),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Read as _, Write as _};

    use super::decompress;

    fn read(bytes: &[u8], buffer: usize) -> std::io::Result<String> {
        let mut text = String::new();
        decompress(BufReader::with_capacity(buffer, bytes))?.read_to_string(&mut text)?;
        Ok(text)
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).expect("compress");
        encoder.finish().expect("compress")
    }

    #[test]
    fn every_compression_is_recognised_with_any_buffer() {
        let members = [gzip("one "), gzip("two")].concat();
        let frames = [
            zstd::encode_all(&b"one "[..], 1).expect("compress"),
            zstd::encode_all(&b"two"[..], 1).expect("compress"),
        ]
        .concat();
        for buffer in [1, 3, 4096] {
            assert_eq!(read(&members, buffer).expect("gzip"), "one two");
            assert_eq!(read(&frames, buffer).expect("zstd"), "one two");
            assert_eq!(read(b"one two", buffer).expect("plain"), "one two");
            assert_eq!(read(b"", buffer).expect("empty"), "");
        }
    }

    #[test]
    fn a_compressed_stream_that_is_cut_short_is_an_error() {
        let whole = gzip("some text");
        read(&whole[..whole.len() - 3], 4096).expect_err("refused");
    }
}
