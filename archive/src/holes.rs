//! Files with holes, on the way out: which pieces of them are data.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use super::BLOCK;

/// A file is sent with its holes left out when that saves so many bytes.
const WORTHWHILE: u64 = 64 * 1024;

/// A file in more pieces than this is sent whole.
const MAX_PIECES: usize = 64 * 1024;

/// The pieces of data of a file with holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holes {
    /// Offset and length of each piece, in order.
    pub pieces: Vec<(u64, u64)>,
}

impl Holes {
    /// Finds the pieces of a file of this size; none when leaving holes out would save nothing.
    ///
    /// The file's position is at its beginning afterwards.
    ///
    /// # Errors
    ///
    /// Fails when the file cannot be asked.
    pub fn of(mut file: &File, size: u64, allocated: u64) -> io::Result<Option<Self>> {
        if allocated.saturating_add(WORTHWHILE) > size {
            return Ok(None);
        }
        let mut pieces = Vec::new();
        let mut at = 0;
        while at < size && pieces.len() < MAX_PIECES {
            let begin = match seek(file, at, Whence::SeekData) {
                // Only a hole is left.
                Err(Errno::ENXIO) => break,
                begin => begin?.min(size),
            };
            let end = match seek(file, begin, Whence::SeekHole) {
                Err(Errno::ENXIO) => break,
                end => end?.min(size),
            };
            if end > begin {
                pieces.push((begin, end - begin));
            }
            at = end;
        }
        file.seek(SeekFrom::Start(0))?;
        // An empty piece at the end says how long the file is, as GNU tar writes it.
        pieces.push((size, 0));
        let holes = Self { pieces };
        let is_whole = at >= size || holes.pieces.len() <= MAX_PIECES;
        Ok((is_whole && holes.stored().saturating_add(WORTHWHILE) <= size).then_some(holes))
    }

    /// Returns how many bytes of data there are.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.pieces.iter().map(|(_offset, length)| length).sum()
    }

    /// Returns the map that stands in front of the data: lines with the number of pieces, then offset
    /// and length of each, filled up to whole blocks.
    pub(crate) fn map(&self) -> Vec<u8> {
        let mut text = format!("{}\n", self.pieces.len());
        for (offset, length) in &self.pieces {
            text.push_str(&format!("{offset}\n{length}\n"));
        }
        let mut map = text.into_bytes();
        map.resize(map.len().next_multiple_of(BLOCK), 0);
        map
    }
}

/// Asks where the next data or hole is.
fn seek(file: &File, at: u64, whence: Whence) -> Result<u64, Errno> {
    let at = i64::try_from(at).map_err(|_too_large| Errno::EOVERFLOW)?;
    let found = lseek(file, at, whence)?;
    u64::try_from(found).map_err(|_negative| Errno::EIO)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    use super::*;

    #[test]
    fn holes_of_a_file_are_found_and_full_files_have_none() {
        let file = tempfile::tempfile().expect("file");
        file.set_len(64 << 20).expect("size");
        file.write_all_at(&[1; 4096], 32 << 20).expect("data");
        let allocated = file.metadata().expect("metadata").blocks() * 512;
        let holes = Holes::of(&file, 64 << 20, allocated).expect("ask");
        let holes = holes.expect("holes");
        assert!(holes.pieces.contains(&(32 << 20, 4096)), "{holes:?}");
        assert_eq!(holes.stored(), 4096);
        let full = tempfile::tempfile().expect("file");
        full.write_all_at(&[1; 200_000], 0).expect("data");
        let allocated = full.metadata().expect("metadata").blocks() * 512;
        assert_eq!(Holes::of(&full, 200_000, allocated).expect("ask"), None);
    }
}
