//! Tells archives from other files, and reads them through their compression.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek as _};
use std::ops::Range;

/// Length of a tar header.
const HEADER_LENGTH: usize = 512;

/// Where in it the checksum stands.
const CHECKSUM: Range<usize> = 148..156;

const BUFFER: usize = 64 * 1024;

type Opener = fn(BufReader<File>) -> io::Result<Box<dyn BufRead>>;

/// How compressions begin, and what reads them.
const COMPRESSIONS: [(&[u8], Opener); 4] = [
    (&[0x1f, 0x8b, 0x08], |file| {
        Ok(buffered(flate2::bufread::MultiGzDecoder::new(file)))
    }),
    (&[0x28, 0xb5, 0x2f, 0xfd], |file| {
        Ok(buffered(zstd::Decoder::with_buffer(file)?))
    }),
    (b"BZh", |file| {
        Ok(buffered(bzip2::bufread::MultiBzDecoder::new(file)))
    }),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0x00], |file| {
        Ok(buffered(lzma_rust2::XzReader::new(file, true)))
    }),
];

/// Opens a tar archive, compressed or not; `None` for any other file.
///
/// The name counts for nothing. A compressed file that holds no archive is not one, either.
pub(super) fn open(mut file: File) -> io::Result<Option<Box<dyn BufRead>>> {
    let mut header = [0; HEADER_LENGTH];
    // What cannot be decompressed far enough is not an archive.
    let is_archive = match decompress(file.try_clone()?) {
        Ok(mut stream) => stream.read_exact(&mut header).is_ok() && is_tar_header(&header),
        Err(_) => false,
    };
    file.rewind()?;
    if is_archive {
        decompress(file).map(Some)
    } else {
        Ok(None)
    }
}

fn decompress(file: File) -> io::Result<Box<dyn BufRead>> {
    let mut file = BufReader::with_capacity(BUFFER, file);
    let beginning = file.fill_buf()?;
    let known = COMPRESSIONS
        .iter()
        .find(|(magic, _)| beginning.starts_with(magic));
    match known {
        Some((_, open)) => open(file),
        None => Ok(Box::new(file)),
    }
}

fn buffered(reader: impl Read + 'static) -> Box<dyn BufRead> {
    Box::new(BufReader::with_capacity(BUFFER, reader))
}

/// Whether the block's checksum is right: the sum of all bytes, its own eight counted as spaces.
fn is_tar_header(block: &[u8; HEADER_LENGTH]) -> bool {
    let field = String::from_utf8_lossy(&block[CHECKSUM]);
    let stored = field.trim_matches(|ch: char| ch == '\0' || ch == ' ');
    let others = block[..CHECKSUM.start].iter().chain(&block[CHECKSUM.end..]);
    let sum: u32 = others.map(|byte| u32::from(*byte)).sum();
    u32::from_str_radix(stored, 8).is_ok_and(|stored| stored == sum + 8 * u32::from(b' '))
}
