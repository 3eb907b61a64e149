//! The SHA-256 by which certificates are named on lists.

use sha2::{Digest as _, Sha256};

/// Returns the SHA-256 of bytes, hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
