//! Certificates that are turned away although an authority has signed them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::Fingerprint;
use crate::files::{self, FileError};

/// A certificate that is turned away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Which.
    pub fingerprint: Fingerprint,
    /// Whose it was, for people.
    #[serde(default)]
    pub name: String,
    /// When this agent learnt of it, in seconds since 1970.
    #[serde(default)]
    pub revoked_at: u64,
}

/// The list of revocations cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevocationsError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file makes no sense. Nobody is let in then: somebody on it might be.
    #[error(
        "list of revoked certificates {} makes no sense (removing it lets all of them in again)",
        path.display()
    )]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// The list, in memory and in its file.
#[derive(Debug)]
pub(crate) struct Revocations {
    path: PathBuf,
    list: RwLock<BTreeMap<Fingerprint, Revocation>>,
}

#[derive(Default, Serialize, Deserialize)]
struct Content {
    revoked: Vec<Revocation>,
}

impl Revocations {
    pub(crate) fn open(path: PathBuf) -> Result<Self, RevocationsError> {
        let revocations = Self {
            path,
            list: RwLock::default(),
        };
        revocations.reload()?;
        Ok(revocations)
    }

    /// Reads the file anew.
    pub(crate) fn reload(&self) -> Result<(), RevocationsError> {
        let content = match files::read(&self.path)? {
            Some(bytes) => {
                serde_json::from_slice(&bytes).map_err(|source| RevocationsError::Content {
                    path: self.path.clone(),
                    source,
                })?
            }
            None => Content::default(),
        };
        let list = content.revoked.into_iter();
        let list = list.map(|entry| (entry.fingerprint, entry)).collect();
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = list;
        Ok(())
    }

    pub(crate) fn contains(&self, fingerprint: &Fingerprint) -> bool {
        self.list
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(fingerprint)
    }

    pub(crate) fn all(&self) -> Vec<Revocation> {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        list.values().cloned().collect()
    }

    /// Adds to the list; on the disk first, so that a restart cannot forget what was in force.
    pub(crate) fn add(
        &self,
        entries: impl IntoIterator<Item = (Fingerprint, String)>,
    ) -> Result<(), RevocationsError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let revoked_at = now.map_or(0, |since| since.as_secs());
        // What somebody has written into the file meanwhile counts too.
        self.reload()?;
        let mut list: BTreeMap<_, _> = self
            .all()
            .into_iter()
            .map(|entry| (entry.fingerprint, entry))
            .collect();
        for (fingerprint, name) in entries {
            list.entry(fingerprint).or_insert(Revocation {
                fingerprint,
                name,
                revoked_at,
            });
        }
        let content = Content {
            revoked: list.values().cloned().collect(),
        };
        let bytes =
            serde_json::to_vec_pretty(&content).map_err(|source| RevocationsError::Content {
                path: self.path.clone(),
                source,
            })?;
        files::replace(&self.path, &bytes)?;
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = list;
        Ok(())
    }
}
