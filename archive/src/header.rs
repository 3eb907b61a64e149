//! The 512 bytes in front of each member.

use super::{BLOCK, TarError};

/// One header block with a checksum that is right.
#[derive(Debug)]
pub(super) struct Header([u8; BLOCK]);

impl Header {
    /// Checks a block; `None` for one of zeros, which ends the archive.
    pub(super) fn parse(block: [u8; BLOCK]) -> Result<Option<Self>, TarError> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Self(block);
        let recorded = header.number(148, 8)?;
        let (mut unsigned, mut signed) = (0_i64, 0_i64);
        for (index, byte) in block.iter().enumerate() {
            let byte = if (148..156).contains(&index) {
                b' '
            } else {
                *byte
            };
            unsigned += i64::from(byte);
            // Old archivers summed signed characters.
            signed += i64::from(byte.cast_signed());
        }
        if recorded != unsigned && recorded != signed {
            return Err(TarError::Malformed("the checksum of a header is wrong"));
        }
        Ok(Some(header))
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[156]
    }

    pub(super) fn is_gnu(&self) -> bool {
        &self.0[257..265] == b"ustar  \0"
    }

    fn is_ustar(&self) -> bool {
        &self.0[257..263] == b"ustar\0"
    }

    /// Returns the name, with its prefix where the format has one.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = self.text(0, 100);
        let prefix = if self.is_ustar() {
            self.text(345, 155)
        } else {
            b""
        };
        if prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    pub(super) fn link_name(&self) -> Vec<u8> {
        self.text(157, 100).to_vec()
    }

    pub(super) fn mode(&self) -> Result<u32, TarError> {
        small(self.number(100, 8)?)
    }

    pub(super) fn uid(&self) -> Result<u32, TarError> {
        small(self.number(108, 8)?)
    }

    pub(super) fn gid(&self) -> Result<u32, TarError> {
        small(self.number(116, 8)?)
    }

    pub(super) fn size(&self) -> Result<u64, TarError> {
        self.length(124, 12)
    }

    pub(super) fn modified_seconds(&self) -> Result<i64, TarError> {
        self.number(136, 12)
    }

    pub(super) fn device(&self) -> Result<(u32, u32), TarError> {
        Ok((small(self.number(329, 8)?)?, small(self.number(337, 8)?)?))
    }

    /// Returns the pieces listed in an old GNU sparse header, and whether more blocks list more.
    pub(super) fn sparse(&self) -> Result<(Vec<(u64, u64)>, bool), TarError> {
        Ok((sparse_pieces(&self.0[386..482])?, self.0[482] != 0))
    }

    pub(super) fn sparse_real_size(&self) -> Result<u64, TarError> {
        self.length(483, 12)
    }

    fn length(&self, at: usize, width: usize) -> Result<u64, TarError> {
        to_length(self.number(at, width)?)
    }

    fn text(&self, at: usize, width: usize) -> &[u8] {
        let field = &self.0[at..at + width];
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(width);
        &field[..end]
    }

    fn number(&self, at: usize, width: usize) -> Result<i64, TarError> {
        number(&self.0[at..at + width])
    }
}

/// Reads the continuation of a sparse header.
pub(super) fn sparse_extension(block: &[u8; BLOCK]) -> Result<(Vec<(u64, u64)>, bool), TarError> {
    Ok((sparse_pieces(&block[..504])?, block[504] != 0))
}

fn sparse_pieces(field: &[u8]) -> Result<Vec<(u64, u64)>, TarError> {
    let mut pieces = Vec::new();
    for piece in field.chunks_exact(24) {
        if piece[0] == 0 {
            break;
        }
        let (offset, length) = piece.split_at(12);
        pieces.push((to_length(number(offset)?)?, to_length(number(length)?)?));
    }
    Ok(pieces)
}

/// Reads octal digits, or the binary form that GNU tar uses for what they cannot hold.
fn number(field: &[u8]) -> Result<i64, TarError> {
    const WRONG: TarError = TarError::Malformed("a number in a header is wrong");
    if let Some(first) = field.first().filter(|first| **first & 0x80 != 0) {
        // Two's complement, of which the highest bit is spent as the mark.
        let negative = first & 0x40 != 0;
        let mut value: i128 = if negative { -1 } else { 0 };
        for (index, byte) in field.iter().enumerate() {
            let byte = if index == 0 && !negative {
                byte & 0x7f
            } else {
                *byte
            };
            value = (value << 8) | i128::from(byte);
        }
        return i64::try_from(value).map_err(|_too_large| WRONG);
    }
    let digits = field
        .iter()
        .copied()
        .skip_while(|byte| matches!(byte, b' ' | 0))
        .take_while(|byte| !matches!(byte, b' ' | 0));
    let mut value: i64 = 0;
    for digit in digits {
        if !matches!(digit, b'0'..=b'7') {
            return Err(WRONG);
        }
        value = value
            .checked_mul(8)
            .and_then(|value| value.checked_add(i64::from(digit - b'0')))
            .ok_or(WRONG)?;
    }
    Ok(value)
}

pub(super) fn to_length(value: i64) -> Result<u64, TarError> {
    u64::try_from(value).map_err(|_negative| TarError::Malformed("a length is negative"))
}

fn small(value: i64) -> Result<u32, TarError> {
    u32::try_from(value).map_err(|_range| TarError::Malformed("a number in a header is too large"))
}
