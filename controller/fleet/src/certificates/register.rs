//! `certs/berth.json`: what certificates alone do not say. Which authorities are no longer trusted,
//! which certificates are revoked, and which clients there are.

use std::path::PathBuf;

use berth_controller_store::{Store, write_private};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::CredentialsError;
use super::files::read;

/// The version of the format that this berth writes.
const VERSION: u32 = 1;

/// What is on record beside the certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Register {
    /// The format's version.
    pub(crate) version: u32,
    /// Authorities (SHA-256) that were the operator's and are not trusted any more.
    pub(crate) retired: Vec<String>,
    /// Certificates that nobody shall trust any more.
    pub(crate) revoked: Vec<Revoked>,
    /// Certificates of clients that were issued here.
    pub(crate) clients: Vec<Client>,
    /// Keys of later versions, kept as they are.
    #[serde(flatten)]
    pub(crate) unknown: Map<String, Value>,
}

/// A certificate that nobody shall trust any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Revoked {
    /// Its SHA-256, hexadecimal.
    pub(crate) fingerprint: String,
    /// Whose it was.
    pub(crate) name: String,
    /// Whether it was a machine's.
    #[serde(default)]
    pub(crate) machine: bool,
    /// When, in seconds since 1970.
    pub(crate) at: i64,
}

/// A client's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Client {
    /// Its SHA-256, hexadecimal.
    pub(crate) fingerprint: String,
    /// Whose it is.
    pub(crate) name: String,
    /// Its serial number, hexadecimal.
    pub(crate) serial: String,
    /// When it ends, in seconds since 1970.
    pub(crate) not_after: i64,
    /// The authority (SHA-256) that has signed it.
    #[serde(default)]
    pub(crate) issuer: String,
}

impl Default for Register {
    fn default() -> Self {
        Self {
            version: VERSION,
            retired: Vec::new(),
            revoked: Vec::new(),
            clients: Vec::new(),
            unknown: Map::new(),
        }
    }
}

impl Register {
    /// Reads it; a store that never needed one has an empty one.
    pub(crate) fn load(store: &Store) -> Result<Self, CredentialsError> {
        let path = path(store);
        let Some(text) = read(&path)? else {
            return Ok(Self::default());
        };
        let register: Self =
            serde_json::from_str(&text).map_err(|source| CredentialsError::Register {
                path: path.clone(),
                source,
            })?;
        if register.version > VERSION {
            return Err(CredentialsError::Future { path });
        }
        Ok(register)
    }

    /// Writes it, under the lock of the certificates.
    pub(crate) fn save(&self, store: &Store) -> Result<(), CredentialsError> {
        let mut text =
            serde_json::to_vec_pretty(self).map_err(|source| CredentialsError::Register {
                path: path(store),
                source,
            })?;
        text.push(b'\n');
        Ok(write_private(&path(store), &text)?)
    }

    pub(crate) fn is_revoked(&self, fingerprint: &str) -> bool {
        self.revoked
            .iter()
            .any(|revoked| revoked.fingerprint == fingerprint)
    }
}

/// Returns the certificates of machines that are not to be trusted any more.
pub(crate) fn revoked_machines(store: &Store) -> Vec<String> {
    // A register that cannot be read is told by whatever changes certificates.
    let register = Register::load(store).unwrap_or_default();
    let machines = register.revoked.into_iter().filter(|entry| entry.machine);
    machines.map(|entry| entry.fingerprint).collect()
}

fn path(store: &Store) -> PathBuf {
    store.certs().directory.join("berth.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_keys_survive_and_later_versions_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        assert_eq!(Register::load(&store).unwrap(), Register::default());
        std::fs::write(path(&store), r#"{"version":1,"later":[1]}"#).unwrap();
        Register::load(&store).unwrap().save(&store).unwrap();
        let text = std::fs::read_to_string(path(&store)).unwrap();
        assert!(text.contains("later"), "{text}");
        std::fs::write(path(&store), r#"{"version":2}"#).unwrap();
        let error = Register::load(&store).unwrap_err();
        assert!(matches!(error, CredentialsError::Future { .. }), "{error}");
    }
}
