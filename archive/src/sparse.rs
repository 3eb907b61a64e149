//! Files with holes: where the pieces of data belong.

use super::TarError;

/// The most pieces that are believed; each costs memory, and real files have far fewer.
const MAX_PIECES: usize = 1 << 20;

/// The pieces of a sparse file as (offset, length), in order, and the file's size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparseMap {
    /// Offset and length of each piece.
    pub pieces: Vec<(u64, u64)>,
    /// Size of the file with its holes.
    pub real_size: u64,
}

impl SparseMap {
    /// Checks that the pieces are in order, inside the file, and as long as the stored data.
    pub(super) fn new(
        pieces: Vec<(u64, u64)>,
        real_size: u64,
        stored_size: u64,
    ) -> Result<Self, TarError> {
        const WRONG: TarError = TarError::Malformed("the map of a sparse file is wrong");
        let (mut end, mut stored) = (0_u64, 0_u64);
        for &(offset, length) in &pieces {
            if offset < end {
                return Err(WRONG);
            }
            end = offset.checked_add(length).ok_or(WRONG)?;
            stored = stored.checked_add(length).ok_or(WRONG)?;
        }
        if end > real_size || stored != stored_size {
            return Err(WRONG);
        }
        Ok(Self { pieces, real_size })
    }
}

/// Adds pieces to a map, as long as it stays believable.
pub(super) fn extend(
    pieces: &mut Vec<(u64, u64)>,
    more: impl IntoIterator<Item = (u64, u64)>,
) -> Result<(), TarError> {
    pieces.extend(more);
    check_count(pieces.len())
}

pub(super) fn check_count(n_pieces: usize) -> Result<(), TarError> {
    if n_pieces > MAX_PIECES {
        return Err(TarError::Malformed("a sparse file has too many pieces"));
    }
    Ok(())
}

/// Pairs up the numbers of a map.
pub(super) fn pair(numbers: &[u64]) -> Result<Vec<(u64, u64)>, TarError> {
    let chunks = numbers.chunks_exact(2);
    if !chunks.remainder().is_empty() {
        return Err(TarError::Malformed("the map of a sparse file is cut short"));
    }
    let pieces: Vec<(u64, u64)> = chunks.map(|pair| (pair[0], pair[1])).collect();
    check_count(pieces.len())?;
    Ok(pieces)
}
