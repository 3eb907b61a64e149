//! Compressed segments.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek as _};
use std::path::Path;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::segment;

/// Compresses a complete segment. Whoever looks sees it one way or the other.
pub(super) fn pack(dir: &Path, base: u64) -> io::Result<()> {
    let (plain, packed) = (segment::complete(dir, base), segment::packed(dir, base));
    let made = packed.with_extension("gz.new");
    let result = compress(&plain, &made).and_then(|()| fs::rename(&made, &packed));
    match result {
        Ok(()) => fs::remove_file(&plain),
        Err(error) => {
            drop(fs::remove_file(&made));
            Err(error)
        }
    }
}

fn compress(plain: &Path, made: &Path) -> io::Result<()> {
    let mut encoder = GzEncoder::new(File::create(made)?, Compression::fast());
    io::copy(&mut File::open(plain)?, &mut encoder)?;
    // Before the plain one goes: a power failure must not leave a name without its bytes.
    encoder.finish()?.sync_data()
}

/// Returns a file without a name that has what a compressed one stands for. What comes after a damaged place of it is
/// lost, and no reason not to show the rest of the log.
pub(super) fn unpack(packed: &File, dir: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut plain = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open(dir)?;
    let mut packed = packed.try_clone()?;
    packed.rewind()?;
    match io::copy(&mut MultiGzDecoder::new(packed), &mut plain) {
        Err(e) if is_damage(&e) => {}
        other => drop(other?),
    }
    Ok(plain)
}

fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof
    )
}
