//! A host's public key, as it is written down and compared.

use std::fmt;

use russh::keys::ssh_key::HashAlg;
use russh::keys::{Algorithm, PublicKey};

/// The public key of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey(PublicKey);

/// A text is not a public key in OpenSSH's form.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a public key in OpenSSH's form")]
pub struct HostKeyError {
    text: String,
    #[source]
    source: russh::keys::ssh_key::Error,
}

impl HostKey {
    /// Reads `ssh-ed25519 AAAA…`, with or without a comment.
    ///
    /// # Errors
    ///
    /// When the text is something else.
    pub fn parse(text: &str) -> Result<Self, HostKeyError> {
        let mut key = PublicKey::from_openssh(text.trim()).map_err(|source| HostKeyError {
            text: text.to_owned(),
            source,
        })?;
        key.set_comment("");
        Ok(Self(key))
    }

    /// Returns the key as OpenSSH writes it, without a comment.
    #[must_use]
    pub fn to_openssh(&self) -> String {
        self.0.to_openssh().unwrap_or_default()
    }

    /// Returns the fingerprint as `ssh-keygen -l` prints it: `SHA256:…`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    pub(crate) fn new(key: &PublicKey) -> Self {
        let mut key = key.clone();
        key.set_comment("");
        Self(key)
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    #[test]
    fn comments_do_not_make_keys_differ() {
        let bare = HostKey::parse(KEY).unwrap();
        let commented = HostKey::parse(&format!("{KEY} root@demo\n")).unwrap();
        assert_eq!(bare, commented);
        assert_eq!(commented.to_openssh(), KEY);
        assert!(bare.fingerprint().starts_with("SHA256:"));
    }

    #[test]
    fn other_texts_are_refused() {
        HostKey::parse("ssh-ed25519 nonsense").unwrap_err();
        HostKey::parse("").unwrap_err();
    }
}
