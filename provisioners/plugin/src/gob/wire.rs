//! Numbers, texts and bytes.

use super::GobError;

/// The most bytes of a number.
const MAX_WIDTH: usize = 8;

/// What is left of some bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

// === impl Cursor ===

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes that are left: no list can have more elements.
    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    fn take(&mut self, n_bytes: usize) -> Result<&'a [u8], GobError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(n_bytes)
            .ok_or(GobError::Malformed("a value ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// A number without sign: one byte below 128, or the negated count of the bytes that follow.
    pub(crate) fn uint(&mut self) -> Result<u64, GobError> {
        let first = self.take(1)?[0];
        let Some(width) = width(first)? else {
            return Ok(u64::from(first));
        };
        let bytes = self.take(width)?;
        Ok(bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A number with sign: its lowest bit says whether the others are turned over.
    pub(crate) fn int(&mut self) -> Result<i64, GobError> {
        let bits = self.uint()?;
        let half = (bits >> 1).cast_signed();
        Ok(if bits & 1 == 1 { !half } else { half })
    }

    /// A floating number: its bytes the other way round, so that zeros at its end cost nothing.
    pub(crate) fn float(&mut self) -> Result<f64, GobError> {
        Ok(f64::from_bits(self.uint()?.swap_bytes()))
    }

    /// Bytes behind their count.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], GobError> {
        let count = self.uint()?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.take(count)
    }

    /// Text behind its count of bytes; what is no UTF-8 is marked.
    pub(crate) fn text(&mut self) -> Result<String, GobError> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    /// How many elements follow; each of them takes at least one byte.
    pub(crate) fn count(&mut self) -> Result<usize, GobError> {
        let count = self.uint()?;
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.len())
            .ok_or(GobError::Malformed("a list is longer than its message"))
    }
}

/// Returns how many bytes of a number follow its first one; nothing when the first one is all.
pub(crate) fn width(first: u8) -> Result<Option<usize>, GobError> {
    if first < 0x80 {
        return Ok(None);
    }
    let width = usize::from(first.wrapping_neg());
    if width > MAX_WIDTH {
        return Err(GobError::Malformed("a number has more than 8 bytes"));
    }
    Ok(Some(width))
}

/// Writes a number without sign.
pub(crate) fn put_uint(out: &mut Vec<u8>, number: u64) {
    match u8::try_from(number) {
        Ok(small @ 0..0x80) => out.push(small),
        _ => {
            let bytes = number.to_be_bytes();
            let zeros = (number.leading_zeros() / 8) as usize;
            let width = bytes.len() - zeros;
            // At most 8, so its negation is its own sign.
            out.push((width as u8).wrapping_neg());
            out.extend_from_slice(&bytes[zeros..]);
        }
    }
}

/// Writes a number with sign.
pub(crate) fn put_int(out: &mut Vec<u8>, number: i64) {
    let bits = if number < 0 {
        (!number).cast_unsigned() << 1 | 1
    } else {
        number.cast_unsigned() << 1
    };
    put_uint(out, bits);
}

/// Writes bytes behind their count.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_uint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        let uint = |number| {
            let mut out = Vec::new();
            put_uint(&mut out, number);
            out
        };
        let int = |number| {
            let mut out = Vec::new();
            put_int(&mut out, number);
            out
        };
        assert_eq!(uint(7), [7]);
        assert_eq!(uint(256), [0xfe, 1, 0]);
        assert_eq!(int(66), [0xff, 0x84]);
        assert_eq!(int(-129), [0xfe, 1, 1]);
    }

    #[test]
    fn numbers_that_cannot_be_are_refused() {
        Cursor::new(&[0x80]).uint().unwrap_err();
        Cursor::new(&[0xf7, 1, 2, 3, 4, 5, 6, 7, 8, 9])
            .uint()
            .unwrap_err();
        Cursor::new(&[0xfe, 1]).uint().unwrap_err();
        Cursor::new(&[0xf8, 255, 255, 255, 255, 255, 255, 255, 255])
            .bytes()
            .unwrap_err();
        Cursor::new(&[5, 1, 1]).count().unwrap_err();
    }

    proptest! {
        #[test]
        fn numbers_come_back(unsigned in any::<u64>(), signed in any::<i64>(), bytes in any::<Vec<u8>>()) {
            let mut out = Vec::new();
            put_uint(&mut out, unsigned);
            put_int(&mut out, signed);
            put_bytes(&mut out, &bytes);
            let mut cursor = Cursor::new(&out);
            prop_assert_eq!(cursor.uint().unwrap(), unsigned);
            prop_assert_eq!(cursor.int().unwrap(), signed);
            prop_assert_eq!(cursor.bytes().unwrap(), &bytes[..]);
            prop_assert!(cursor.is_empty());
        }
    }
}
