//! Versions of the API: `1.NN`, of which clients and servers agree on the older one of both.

use std::fmt;
use std::str::FromStr;

/// The oldest version that is spoken.
pub(crate) const MIN_VERSION: ApiVersion = ApiVersion(24);
/// The newest version that is spoken: that of Docker 28.2.
pub(crate) const MAX_VERSION: ApiVersion = ApiVersion(50);

/// A version of the API; the number after `1.`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion(u16);

/// A text is no version.
#[derive(Debug)]
pub(crate) struct NotAVersion;

impl ApiVersion {
    /// Whether the client speaks `1.minor` or a later one.
    pub(crate) const fn since(self, minor: u16) -> bool {
        self.0 >= minor
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

impl FromStr for ApiVersion {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let mut parts = text.split('.').map(|part| part.parse::<u16>().ok());
        let (major, minor) = (parts.next().flatten(), parts.next());
        match (major, minor) {
            (Some(1), Some(Some(minor))) => Ok(Self(minor)),
            (Some(1), None) | (Some(0), _) => Ok(Self(0)),
            (Some(1), _) => Err(NotAVersion),
            // Of a major version that nobody has seen yet.
            (Some(_later), _) => Ok(Self(u16::MAX)),
            _ => Err(NotAVersion),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number_and_not_by_text() {
        let parse = |text: &str| text.parse::<ApiVersion>().ok();
        assert!(parse("1.9") < parse("1.24"));
        assert_eq!(parse("1.50"), Some(MAX_VERSION));
        assert_eq!(parse("1.24.1"), Some(MIN_VERSION));
        assert!(parse("2.0") > Some(MAX_VERSION));
        for wrong in ["", ".", "x", "1.x"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert!(parse("1.42").is_some_and(|version| version.since(42) && !version.since(43)));
    }
}
