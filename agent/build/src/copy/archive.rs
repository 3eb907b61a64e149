//! Tells archives from other files, and reads them through their compression.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _};

use tar::Header;

/// Length of a tar header.
const HEADER_LENGTH: usize = 512;

type Opener = fn(BufReader<File>) -> io::Result<Box<dyn Read>>;

/// How compressions begin, and what reads them.
const COMPRESSIONS: [(&[u8], Opener); 4] = [
    (&[0x1f, 0x8b, 0x08], |file| {
        Ok(Box::new(flate2::bufread::MultiGzDecoder::new(file)))
    }),
    (&[0x28, 0xb5, 0x2f, 0xfd], |file| {
        Ok(Box::new(zstd::Decoder::with_buffer(file)?))
    }),
    (b"BZh", |file| {
        Ok(Box::new(bzip2::bufread::MultiBzDecoder::new(file)))
    }),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0x00], |file| {
        Ok(Box::new(lzma_rust2::XzReader::new(file, true)))
    }),
];

/// Opens a tar archive, compressed or not; `None` for any other file.
///
/// The name counts for nothing. A compressed file that holds no archive is not one, either.
pub(super) fn open(mut file: File) -> io::Result<Option<Box<dyn Read>>> {
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

fn decompress(file: File) -> io::Result<Box<dyn Read>> {
    let mut file = BufReader::with_capacity(64 * 1024, file);
    let beginning = file.fill_buf()?;
    let known = COMPRESSIONS
        .iter()
        .find(|(magic, _)| beginning.starts_with(magic));
    match known {
        Some((_, open)) => open(file),
        None => Ok(Box::new(file)),
    }
}

fn is_tar_header(block: &[u8; HEADER_LENGTH]) -> bool {
    let header = Header::from_byte_slice(block);
    // The checksum is the sum of all bytes, its own eight counted as spaces.
    let sum: u32 = block[..148]
        .iter()
        .chain(&block[156..])
        .map(|byte| u32::from(*byte))
        .sum();
    header
        .cksum()
        .is_ok_and(|stored| stored == sum + 8 * u32::from(b' '))
}
