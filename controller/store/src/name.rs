//! Names of machines.

use std::fmt;
use std::str::FromStr;

/// Longest name; it becomes a file name and a host name, with room for endings.
const MAX_BYTES: usize = 128;

/// The checked name of a machine: letters, digits, `-` and `.`, the first a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineName(String);

/// A text cannot be a machine's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has a character that host names cannot have, or starts with a wrong one, or is empty.
    #[error("invalid machine name {0:?}: allowed are 0-9a-zA-Z . -, the first a letter or digit")]
    Characters(String),
    /// It is too long.
    #[error("invalid machine name {0:?}: longer than {MAX_BYTES} characters")]
    Length(String),
}

impl MachineName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MachineName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let first = text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        let all = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        if !first || !all {
            return Err(NameError::Characters(text.to_owned()));
        }
        if text.len() > MAX_BYTES {
            return Err(NameError::Length(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for MachineName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl AsRef<str> for MachineName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_store_are_refused() {
        for bad in [
            "", ".", "..", "../x", "a/b", "-a", ".hidden", "a b", "ä", "a\0b", "a_b",
        ] {
            bad.parse::<MachineName>().unwrap_err();
        }
        assert!(matches!(
            "a".repeat(129).parse::<MachineName>(),
            Err(NameError::Length(_))
        ));
    }

    #[test]
    fn host_names_are_taken() {
        for good in [
            "a",
            "demo",
            "runner-1x2y-demo-1700000000-0a1b2c3d",
            "db.example.org",
            "9",
        ] {
            assert_eq!(good.parse::<MachineName>().unwrap().as_str(), good);
        }
    }
}
