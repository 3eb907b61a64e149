//! The data of a file that may have become shorter since its length was written.

use std::io::{self, Read};

/// Appends `length` bytes of `file` to `buffer` without another copy, and returns `length`. What the file does not have
/// any more is zeros, so that the archive stays whole.
///
/// # Errors
/// When the file cannot be read.
pub fn read_padded(file: &mut impl Read, length: u64, buffer: &mut Vec<u8>) -> io::Result<u64> {
    let read = file.by_ref().take(length).read_to_end(buffer)? as u64;
    let missing = usize::try_from(length - read).unwrap_or(0);
    buffer.resize(buffer.len() + missing, 0);
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_became_shorter_ends_in_zeros() {
        let mut buffer = b"head".to_vec();
        let length = read_padded(&mut &b"ab"[..], 4, &mut buffer).expect("read");
        assert_eq!((length, buffer.as_slice()), (4, &b"headab\0\0"[..]));
        let length = read_padded(&mut &b"abcdef"[..], 3, &mut buffer).expect("read");
        assert_eq!((length, &buffer[8..]), (3, &b"abc"[..]));
    }
}
