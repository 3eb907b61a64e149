//! The name of an unpacked layer: the digest of its uncompressed tar.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const PREFIX: &str = "sha256:";
const HEX_DIGITS: usize = 64;

/// The diff id of a layer, `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LayerId(String);

/// A text that is not a diff id.
#[derive(Debug, thiserror::Error)]
#[error("invalid layer id {text:?}")]
pub struct ParseLayerIdError {
    text: String,
}

impl LayerId {
    /// Returns the id of the layer whose uncompressed tar has this SHA-256.
    #[must_use]
    pub fn from_sha256(sum: &[u8; 32]) -> Self {
        use fmt::Write as _;
        let mut text = String::from(PREFIX);
        for byte in sum {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// Returns the whole id, with `sha256:`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the 64 hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.0.strip_prefix(PREFIX).unwrap_or(&self.0)
    }
}

impl FromStr for LayerId {
    type Err = ParseLayerIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for LayerId {
    type Error = ParseLayerIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        match text.strip_prefix(PREFIX) {
            Some(hex) if hex.len() == HEX_DIGITS && hex.bytes().all(is_digit) => Ok(Self(text)),
            _ => Err(ParseLayerIdError { text }),
        }
    }
}

impl From<LayerId> for String {
    fn from(id: LayerId) -> Self {
        id.0
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::LayerId;

    #[test]
    fn only_a_lower_case_sha256_is_a_layer_id() {
        let hex = "0123456789abcdef".repeat(4);
        let id: LayerId = format!("sha256:{hex}").parse().expect("valid id");
        assert_eq!(id.hex(), hex);
        for bad in [
            hex.clone(),
            format!("sha256:{}", hex.to_uppercase()),
            format!("sha256:{}", &hex[1..]),
            format!("sha512:{hex}"),
            "sha256:../../../../../../../../../../../../../../../../../../etc/passwdd".to_owned(),
        ] {
            assert!(bad.parse::<LayerId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_id_of_a_sum_is_its_hexadecimal_form() {
        let id = LayerId::from_sha256(&[0xab; 32]);
        assert_eq!(id.as_str(), format!("sha256:{}", "ab".repeat(32)));
    }
}
