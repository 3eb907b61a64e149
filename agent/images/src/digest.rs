//! Content digests.

use std::fmt;
use std::str::FromStr;

use berth_agent_snapshots::LayerId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The digest of some content, `algorithm:hex`.
///
/// Content is only ever fetched and stored by SHA-256; the other registered algorithms are known so
/// that references with them are told apart from nonsense.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// The reasons why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseDigestError {
    /// The text does not have a digest's form.
    #[error("invalid checksum digest format")]
    Format,
    /// The hexadecimal part has the wrong length for its algorithm.
    #[error("invalid checksum digest length")]
    Length,
    /// The algorithm is not known.
    #[error("unsupported digest algorithm")]
    Algorithm,
}

impl Digest {
    /// Returns the SHA-256 digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_sha256(Sha256::digest(bytes).into())
    }

    /// Returns the digest with this SHA-256 sum.
    #[must_use]
    pub fn from_sha256(sum: [u8; 32]) -> Self {
        Self(format!("sha256:{}", hex::encode(sum)))
    }

    /// Returns the whole digest with its algorithm.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of the algorithm.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        self.0
            .split_once(':')
            .map_or("", |(algorithm, _hex)| algorithm)
    }

    /// Returns the hexadecimal part.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_algorithm, hex)| hex)
    }

    /// Returns the first twelve hexadecimal digits, as people read them.
    #[must_use]
    pub fn short(&self) -> &str {
        let hex = self.hex();
        hex.get(..12).unwrap_or(hex)
    }

    /// Tells whether this is the kind of digest that content is stored under.
    #[must_use]
    pub fn is_sha256(&self) -> bool {
        self.algorithm() == "sha256"
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (algorithm, hex) = text.split_once(':').ok_or(ParseDigestError::Format)?;
        let is_algorithm = |byte: u8| byte.is_ascii_alphanumeric() || b"+._-".contains(&byte);
        let is_encoded = |byte: u8| byte.is_ascii_alphanumeric() || b"=_-".contains(&byte);
        if algorithm.is_empty() || !algorithm.bytes().all(is_algorithm) {
            return Err(ParseDigestError::Format);
        }
        if hex.is_empty() || !hex.bytes().all(is_encoded) {
            return Err(ParseDigestError::Format);
        }
        let digits = match algorithm {
            "sha256" => 64,
            "sha384" => 96,
            "sha512" => 128,
            _ => return Err(ParseDigestError::Algorithm),
        };
        if hex.len() != digits {
            return Err(ParseDigestError::Length);
        }
        if !hex
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(ParseDigestError::Format);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Digest {
    type Error = ParseDigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl From<&LayerId> for Digest {
    fn from(layer: &LayerId) -> Self {
        Self(layer.as_str().to_owned())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
