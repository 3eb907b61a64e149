//! Amounts of memory.

use crate::units::size::{self, SizeError};

/// Reads an amount such as "512m".
pub(crate) fn limit(text: &str) -> Result<i64, SizeError> {
    size::parse(text)
}

/// Reads an amount, or -1 for any.
pub(crate) fn swap(text: &str) -> Result<i64, SizeError> {
    if text == "-1" {
        return Ok(-1);
    }
    size::parse(text)
}
