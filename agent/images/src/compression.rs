//! Telling compressions apart and undoing them.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;

/// How a layer's tar is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Gzip, of one or more members.
    Gzip,
    /// Zstandard, of one or more frames.
    Zstd,
    /// Bzip2, of one or more streams.
    Bzip2,
    /// XZ, of one or more streams.
    Xz,
}

/// The most memory that undoing XZ may take, in KiB: twice what its highest level wants. The number
/// comes from the archive, and would otherwise be whatever a stranger writes there.
const XZ_MEMORY: u32 = 128 * 1024;

impl Compression {
    /// How many bytes [`Compression::detect`] wants to see.
    const MAGIC: usize = 6;

    /// Tells the compression from the first bytes; the names that registries give are not trusted.
    #[must_use]
    pub fn detect(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A frame to be skipped, with which seekable archives may begin.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0x00, ..] => Self::Xz,
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
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(whole)),
        Compression::Xz => Box::new(XzReader::new_mem_limit(whole, true, XZ_MEMORY)),
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
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(b"one two").expect("compress");
        let bzip2 = bzip2.finish().expect("compress");
        for buffer in [1, 3, 4096] {
            assert_eq!(read(&bzip2, buffer).expect("bzip2"), "one two");
            assert_eq!(read(XZ, buffer).expect("xz"), "one two");
            assert_eq!(read(&members, buffer).expect("gzip"), "one two");
            assert_eq!(read(&frames, buffer).expect("zstd"), "one two");
            assert_eq!(read(b"one two", buffer).expect("plain"), "one two");
            assert_eq!(read(b"", buffer).expect("empty"), "");
        }
    }

    /// What xz makes of "one two".
    const XZ: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21,
        0x01, 0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0x01, 0x00, 0x06, 0x6f, 0x6e, 0x65,
        0x20, 0x74, 0x77, 0x6f, 0x00, 0x00, 0x38, 0x32, 0x64, 0x95, 0x8b, 0x58, 0x23, 0x7c, 0x00,
        0x01, 0x1f, 0x07, 0x16, 0x2e, 0xb8, 0x73, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00,
        0x00, 0x04, 0x59, 0x5a,
    ];

    /// The same, with a header that wants 1.5 GiB.
    const GREEDY: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21,
        0x01, 0x25, 0x00, 0x00, 0x00, 0x3b, 0x78, 0x7b, 0x41, 0x01, 0x00, 0x06, 0x6f, 0x6e, 0x65,
        0x20, 0x74, 0x77, 0x6f, 0x00, 0x00, 0x38, 0x32, 0x64, 0x95, 0x8b, 0x58, 0x23, 0x7c, 0x00,
        0x01, 0x1f, 0x07, 0x16, 0x2e, 0xb8, 0x73, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00,
        0x00, 0x04, 0x59, 0x5a,
    ];

    #[test]
    fn an_archive_that_wants_gigabytes_of_memory_is_refused() {
        read(GREEDY, 4096).expect_err("refused");
    }

    #[test]
    fn a_compressed_stream_that_is_cut_short_is_an_error() {
        let whole = gzip("some text");
        read(&whole[..whole.len() - 3], 4096).expect_err("refused");
    }
}
