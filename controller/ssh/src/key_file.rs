//! Private keys in files, asked for their passphrase only when a host wants their signature.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use russh::keys::agent::AgentIdentity;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::ssh_key::{Signature, public::KeyData};
use russh::keys::{Certificate, HashAlg, PrivateKey, PublicKey, load_secret_key};
use russh::{SendError, Signer};

use crate::{IdentityError, ask};

/// How often a passphrase may be mistyped.
const N_TRIES: usize = 3;
/// Keys whose passphrase was given, for all connections of this process.
static UNLOCKED: Mutex<Option<HashMap<PathBuf, Arc<PrivateKey>>>> = Mutex::new(None);

/// A private key in a file.
pub(crate) struct KeyFile {
    pub(crate) path: PathBuf,
    pub(crate) public: PublicKey,
    /// `None` while it is locked.
    key: Option<Arc<PrivateKey>>,
    may_ask: bool,
    pub(crate) failure: Option<IdentityError>,
}

/// What a file turned out to be.
pub(crate) enum Loaded {
    Key(KeyFile),
    /// There is none.
    Absent,
    /// Only the public half is there: an agent may have the other.
    PublicOnly(PublicKey),
}

impl KeyFile {
    /// Reads a key; one that is locked stays so if its public half can be had otherwise.
    pub(crate) async fn load(path: &Path, may_ask: bool) -> Result<Loaded, IdentityError> {
        let unreadable = |source| IdentityError::Unreadable {
            path: path.to_owned(),
            source,
        };
        if let Some(key) = unlocked(path) {
            return Ok(Loaded::Key(Self::of(path, key)));
        }
        match load_secret_key(path, None) {
            Ok(key) => Ok(Loaded::Key(Self::of(path, Arc::new(key)))),
            Err(russh::keys::Error::KeyIsEncrypted) => {
                let public = public_half(path);
                let locked = |public| Self {
                    path: path.to_owned(),
                    public,
                    key: None,
                    may_ask,
                    failure: None,
                };
                match public {
                    Some(public) => Ok(Loaded::Key(locked(public))),
                    None if may_ask => Ok(Loaded::Key(Self::of(path, unlock(path).await?))),
                    None => Err(encrypted(path)),
                }
            }
            Err(russh::keys::Error::IO(error)) if error.kind() == io::ErrorKind::NotFound => {
                Ok(public_half(path).map_or(Loaded::Absent, Loaded::PublicOnly))
            }
            // People name the public half where an agent has the other.
            Err(source) => match public_in(path) {
                Some(public) => Ok(Loaded::PublicOnly(public)),
                None => Err(unreadable(source)),
            },
        }
    }

    fn of(path: &Path, key: Arc<PrivateKey>) -> Self {
        Self {
            path: path.to_owned(),
            public: key.public_key().clone(),
            key: Some(key),
            may_ask: false,
            failure: None,
        }
    }

    /// Returns the certificate that lies beside the key, or one of `named` that is for it.
    pub(crate) fn certificate(&self, named: &[PathBuf]) -> Option<Certificate> {
        certificate_for(&self.path, self.public.key_data(), named)
    }

    async fn key(&mut self) -> Result<Arc<PrivateKey>, IdentityError> {
        match &self.key {
            Some(key) => Ok(Arc::clone(key)),
            None if self.may_ask => {
                let key = unlock(&self.path).await?;
                self.key = Some(Arc::clone(&key));
                Ok(key)
            }
            None => Err(encrypted(&self.path)),
        }
    }
}

impl Signer for KeyFile {
    type Error = SendError;

    async fn auth_sign(
        &mut self,
        _offered: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        let signed = match self.key().await {
            Ok(key) => sign(&key, hash, data).map_err(|source| IdentityError::Unreadable {
                path: self.path.clone(),
                source: source.into(),
            }),
            Err(error) => Err(error),
        };
        signed.map_err(|error| {
            self.failure = Some(error);
            SendError {}
        })
    }
}

/// Returns the certificate at `<path>-cert.pub`, or one of `named`, that is for a key.
pub(crate) fn certificate_for(
    path: &Path,
    public: &KeyData,
    named: &[PathBuf],
) -> Option<Certificate> {
    let mut beside = path.as_os_str().to_owned();
    beside.push("-cert.pub");
    let mut files = named.iter().cloned().chain([PathBuf::from(beside)]);
    files.find_map(|file| {
        let certificate = Certificate::read_file(&file).ok()?;
        (certificate.public_key() == public && certificate.cert_type().is_user())
            .then_some(certificate)
    })
}

fn sign(
    key: &PrivateKey,
    hash: Option<HashAlg>,
    mut data: Vec<u8>,
) -> Result<Vec<u8>, russh::keys::ssh_key::Error> {
    let signature: Signature = match key.key_data() {
        KeypairData::Rsa(pair) => (pair, hash).try_sign(&data)?,
        _ => key.try_sign(&data)?,
    };
    let signature = Vec::<u8>::try_from(signature)?;
    let length = u32::try_from(signature.len()).unwrap_or(u32::MAX);
    data.extend(length.to_be_bytes());
    data.extend(signature);
    Ok(data)
}

/// Asks for the passphrase until it fits.
async fn unlock(path: &Path) -> Result<Arc<PrivateKey>, IdentityError> {
    let mut prompt = format!("Passphrase for key {}: ", path.display());
    for _ in 0..N_TRIES {
        // Another connection may have asked meanwhile.
        if let Some(key) = unlocked(path) {
            return Ok(key);
        }
        let Some(passphrase) = ask::secret(prompt).await else {
            return match unlocked(path) {
                Some(key) => Ok(key),
                None => Err(encrypted(path)),
            };
        };
        if let Ok(key) = load_secret_key(path, Some(&passphrase)) {
            let key = Arc::new(key);
            let mut keys = UNLOCKED.lock().unwrap_or_else(PoisonError::into_inner);
            keys.get_or_insert_default()
                .insert(path.to_owned(), Arc::clone(&key));
            return Ok(key);
        }
        prompt = format!(
            "That does not open it. Passphrase for key {}: ",
            path.display()
        );
    }
    Err(IdentityError::WrongPassphrase {
        path: path.to_owned(),
    })
}

fn unlocked(path: &Path) -> Option<Arc<PrivateKey>> {
    let keys = UNLOCKED.lock().unwrap_or_else(PoisonError::into_inner);
    keys.as_ref()?.get(path).cloned()
}

fn encrypted(path: &Path) -> IdentityError {
    IdentityError::Encrypted {
        path: path.to_owned(),
    }
}

/// Returns the public half of a key without unlocking it: it is in clear in OpenSSH's format, and
/// lies beside keys in others.
fn public_half(path: &Path) -> Option<PublicKey> {
    if let Ok(key) = PrivateKey::read_openssh_file(path) {
        return Some(key.public_key().clone());
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    public_in(Path::new(&beside))
}

fn public_in(path: &Path) -> Option<PublicKey> {
    PublicKey::from_openssh(fs::read_to_string(path).ok()?.trim()).ok()
}
