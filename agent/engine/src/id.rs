//! Identities of containers: 64 hex digits, random, as Docker's.

use std::fmt;

use rand::RngCore as _;
use serde::{Deserialize, Serialize};

/// Identity of a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(String);

impl ContainerId {
    /// Digits of the short form.
    const SHORT: usize = 12;

    /// Makes a new random identity.
    ///
    /// The short form is never all decimal digits: it serves as host name, and some programs read a
    /// host name of digits as a number.
    #[must_use]
    pub fn random() -> Self {
        loop {
            let id = random_hex(32);
            if id
                .bytes()
                .take(Self::SHORT)
                .any(|b| b.is_ascii_alphabetic())
            {
                return Self(id);
            }
        }
    }

    /// Reads an identity from its 64 hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 64 && text.bytes().all(hex)).then(|| Self(text.to_owned()))
    }

    /// Returns all 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first twelve digits, as people see them.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..Self::SHORT]
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns `n_bytes` random bytes as hex digits.
pub(crate) fn random_hex(n_bytes: usize) -> String {
    let mut bytes = vec![0; n_bytes];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_id_reads_back() {
        let id = ContainerId::random();
        assert_eq!(ContainerId::parse(id.as_str()), Some(id.clone()));
        assert!(id.short().contains(|c: char| c.is_ascii_alphabetic()));
    }

    #[test]
    fn only_sixty_four_lower_case_hex_digits_are_an_id() {
        assert_eq!(ContainerId::parse("abc"), None);
        assert_eq!(ContainerId::parse(&"A".repeat(64)), None);
        assert_eq!(ContainerId::parse(&"../".repeat(22)[..64]), None);
    }
}
