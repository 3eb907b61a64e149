//! How the controller logs in: with a key of the machine, or with what the operator's agent and
//! configuration have.

use std::path::{Path, PathBuf};

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Certificate, HashAlg, PublicKey};

use crate::Endpoint;
use crate::agent::Agent;
use crate::config::home;
use crate::key_file::{KeyFile, Loaded, certificate_for};
use crate::verify::Verifier;

/// The operator's own keys, in the order in which OpenSSH tries them.
const DEFAULT_KEYS: [&str; 3] = ["id_rsa", "id_ecdsa", "id_ed25519"];

/// No usable private key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The key file cannot be read.
    #[error("private key {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: russh::keys::Error,
    },
    /// The key file needs a passphrase, and nobody can be asked for it.
    #[error(
        "private key {} needs a passphrase, and there is no terminal to ask for it; add it to an \
         ssh agent (ssh-add), or name a program that asks in SSH_ASKPASS",
        path.display()
    )]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
    /// The passphrase that was given does not open the key.
    #[error("private key {} was not opened by the passphrases given", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// No key was named, and the operator has none.
    #[error("no private key: none was named, no ssh agent runs, and there is none in ~/.ssh")]
    None,
}

/// How a login ended.
pub(crate) enum Login {
    Done,
    Refused { tried: String },
}

/// A login could not even be tried.
pub(crate) enum LoginError {
    Identity(IdentityError),
    Protocol(russh::Error),
}

impl From<IdentityError> for LoginError {
    fn from(error: IdentityError) -> Self {
        Self::Identity(error)
    }
}

impl From<russh::Error> for LoginError {
    fn from(error: russh::Error) -> Self {
        Self::Protocol(error)
    }
}

/// Logs in with the endpoint's key, or else with what the operator's agent and configuration have.
pub(crate) async fn log_in(
    handle: &mut Handle<Verifier>,
    endpoint: &Endpoint,
) -> Result<Login, LoginError> {
    let agent = Agent::connect(&endpoint.config.agent, handle).await;
    let mut attempt = Attempt {
        handle,
        endpoint,
        agent,
        tried: Vec::new(),
        failure: None,
    };
    let result = match &endpoint.key {
        Some(path) => attempt.with_key(path).await,
        None => attempt.with_own_keys().await,
    };
    let tried = attempt.tried.join(", ");
    match result {
        Ok(true) => Ok(Login::Done),
        // Many servers hang up after a few keys.
        Err(error) if !tried.is_empty() && hung_up(&error) => Ok(Login::Refused {
            tried: format!("{tried}; then it hung up"),
        }),
        Err(error) => Err(error.into()),
        Ok(false) => match attempt.failure {
            Some(failure) => Err(failure.into()),
            None if tried.is_empty() => Err(IdentityError::None.into()),
            None => Ok(Login::Refused { tried }),
        },
    }
}

fn hung_up(error: &russh::Error) -> bool {
    matches!(
        error,
        russh::Error::Disconnect | russh::Error::HUP | russh::Error::SendError
    )
}

/// One login: what was tried, and what stood in the way.
struct Attempt<'a> {
    handle: &'a mut Handle<Verifier>,
    endpoint: &'a Endpoint,
    agent: Option<Agent>,
    tried: Vec<String>,
    failure: Option<IdentityError>,
}

impl Attempt<'_> {
    async fn with_key(&mut self, path: &Path) -> Result<bool, russh::Error> {
        match KeyFile::load(path, !self.endpoint.config.batch).await {
            Ok(Loaded::Key(key)) => self.offer_file(key).await,
            Ok(Loaded::PublicOnly(public)) => self.offer_held(path, &public).await,
            Ok(Loaded::Absent) => {
                self.failure = Some(IdentityError::Unreadable {
                    path: path.to_owned(),
                    source: std::io::Error::from(std::io::ErrorKind::NotFound).into(),
                });
                Ok(false)
            }
            Err(error) => {
                self.failure = Some(error);
                Ok(false)
            }
        }
    }

    /// Tries the agent's keys that are named first, then its others, then files.
    async fn with_own_keys(&mut self) -> Result<bool, russh::Error> {
        let config = &self.endpoint.config;
        let paths = if config.identity_files.is_empty() {
            let folder = home().map(|home| home.join(".ssh")).unwrap_or_default();
            DEFAULT_KEYS.map(|name| folder.join(name)).to_vec()
        } else {
            config.identity_files.clone()
        };
        let (mut files, mut named) = (Vec::new(), Vec::new());
        for path in paths {
            match KeyFile::load(&path, !config.batch).await {
                Ok(Loaded::Key(key)) => {
                    named.push((path, key.public.clone()));
                    files.push(key);
                }
                Ok(Loaded::PublicOnly(public)) => named.push((path, public)),
                // A key that is absent or cannot be read is passed over, as OpenSSH does it.
                Ok(Loaded::Absent) | Err(_) => {}
            }
        }
        for (path, public) in &named {
            if self.offer_held(path, public).await? {
                return Ok(true);
            }
        }
        if !config.identities_only && self.offer_other_held(&named).await? {
            return Ok(true);
        }
        for key in files {
            let data = key.public.key_data();
            if self.held(data).is_none() && self.offer_file(key).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn held(&self, public: &KeyData) -> Option<PublicKey> {
        self.agent.as_ref()?.key(public)
    }

    /// Offers what is in a file; a locked key that an agent holds is taken from there.
    async fn offer_file(&mut self, mut key: KeyFile) -> Result<bool, russh::Error> {
        if self.held(key.public.key_data()).is_some() {
            let (path, public) = (key.path.clone(), key.public.clone());
            if self.offer_held(&path, &public).await? {
                return Ok(true);
            }
        }
        let user = self.endpoint.user.as_str();
        if let Some(certificate) = key.certificate(&self.endpoint.config.certificate_files) {
            self.tried
                .push(format!("certificate {}", named(&certificate)));
            let hash = hash(self.handle, certificate.algorithm().is_rsa()).await?;
            let offered = self
                .handle
                .authenticate_certificate_with(user, certificate, hash, &mut key)
                .await;
            if offered.is_ok_and(|result| result.success()) {
                return Ok(true);
            }
            self.keep(&mut key)?;
        }
        self.tried.push(format!("key {}", key.path.display()));
        let hash = hash(self.handle, key.public.algorithm().is_rsa()).await?;
        let public = key.public.clone();
        let offered = self
            .handle
            .authenticate_publickey_with(user, public, hash, &mut key)
            .await;
        match offered {
            Ok(result) => Ok(accepted(&result)),
            Err(_no_signature) => self.keep(&mut key).map(|()| false),
        }
    }

    /// Keeps why a key could not sign; without a reason it was the connection that failed.
    fn keep(&mut self, key: &mut KeyFile) -> Result<(), russh::Error> {
        if let Some(failure) = key.failure.take() {
            self.failure.get_or_insert(failure);
        }
        if self.handle.is_closed() {
            return Err(russh::Error::Disconnect);
        }
        Ok(())
    }

    /// Offers a key that the agent holds, first with a certificate where there is one.
    async fn offer_held(&mut self, path: &Path, public: &PublicKey) -> Result<bool, russh::Error> {
        let data = public.key_data();
        let certificates = self.certificates_held(Some(data));
        for certificate in certificates {
            if self
                .offer_held_certificate(certificate.clone(), None)
                .await?
            {
                return Ok(true);
            }
        }
        let Some(held) = self.held(data) else {
            return Ok(false);
        };
        let files = &self.endpoint.config.certificate_files;
        if let Some(certificate) = certificate_for(path, data, files)
            && self
                .offer_held_certificate(certificate, Some(held.clone()))
                .await?
        {
            return Ok(true);
        }
        self.offer_held_key(held).await
    }

    /// Offers what the agent holds beyond the keys that were named.
    async fn offer_other_held(
        &mut self,
        named: &[(PathBuf, PublicKey)],
    ) -> Result<bool, russh::Error> {
        let is_named = |data: &KeyData| named.iter().any(|(_, public)| public.key_data() == data);
        for certificate in self.certificates_held(None) {
            if !is_named(certificate.public_key())
                && self.offer_held_certificate(certificate, None).await?
            {
                return Ok(true);
            }
        }
        let agent = self.agent.as_ref();
        let keys: Vec<PublicKey> = agent
            .iter()
            .flat_map(|agent| &agent.identities)
            .filter_map(|identity| match identity {
                AgentIdentity::PublicKey { key, .. } => Some(key.clone()),
                AgentIdentity::Certificate { .. } => None,
            })
            .filter(|key| !is_named(key.key_data()))
            .collect();
        for key in keys {
            let certificate = certificate_for(
                Path::new(""),
                key.key_data(),
                &self.endpoint.config.certificate_files,
            );
            if let Some(certificate) = certificate
                && self
                    .offer_held_certificate(certificate, Some(key.clone()))
                    .await?
            {
                return Ok(true);
            }
            if self.offer_held_key(key).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn certificates_held(&self, public: Option<&KeyData>) -> Vec<Certificate> {
        let agent = self.agent.as_ref();
        let identities = agent.iter().flat_map(|agent| &agent.identities);
        identities
            .filter_map(|identity| match identity {
                AgentIdentity::Certificate { certificate, .. } => Some(certificate),
                AgentIdentity::PublicKey { .. } => None,
            })
            .filter(|certificate| public.is_none_or(|data| data == certificate.public_key()))
            .cloned()
            .collect()
    }

    async fn offer_held_key(&mut self, key: PublicKey) -> Result<bool, russh::Error> {
        let Some(agent) = &mut self.agent else {
            return Ok(false);
        };
        self.tried
            .push(format!("agent key {}", key.fingerprint(HashAlg::Sha256)));
        let hash = hash(self.handle, key.algorithm().is_rsa()).await?;
        let identity = AgentIdentity::PublicKey {
            key: key.clone(),
            comment: String::new(),
        };
        let mut signer = agent.signer(identity);
        let user = self.endpoint.user.as_str();
        let offered = self
            .handle
            .authenticate_publickey_with(user, key, hash, &mut signer)
            .await;
        declined(offered)
    }

    /// Offers a certificate that the agent holds, or one from a file whose bare key it holds.
    async fn offer_held_certificate(
        &mut self,
        certificate: Certificate,
        bare: Option<PublicKey>,
    ) -> Result<bool, russh::Error> {
        let Some(agent) = &mut self.agent else {
            return Ok(false);
        };
        self.tried
            .push(format!("certificate {}", named(&certificate)));
        let comment = String::new();
        let identity = match bare {
            Some(key) => AgentIdentity::PublicKey { key, comment },
            None => AgentIdentity::Certificate {
                certificate: certificate.clone(),
                comment,
            },
        };
        let hash = hash(self.handle, certificate.algorithm().is_rsa()).await?;
        let mut signer = agent.signer(identity);
        let user = self.endpoint.user.as_str();
        let offered = self
            .handle
            .authenticate_certificate_with(user, certificate, hash, &mut signer)
            .await;
        declined(offered)
    }
}

/// An agent that declines is a key that was not taken.
fn declined(offered: Result<AuthResult, russh::AgentAuthError>) -> Result<bool, russh::Error> {
    match offered {
        Ok(result) => Ok(accepted(&result)),
        Err(russh::AgentAuthError::Key(_)) => Ok(false),
        Err(russh::AgentAuthError::Send(_)) => Err(russh::Error::SendError),
    }
}

fn accepted(result: &AuthResult) -> bool {
    result.success()
}

fn named(certificate: &Certificate) -> String {
    format!("{:?}", certificate.key_id())
}

/// Returns the hash for signatures of RSA keys: what the server names, else SHA-256, as servers
/// that name nothing are old but those that only know SHA-1 are older than OpenSSH 7.2.
async fn hash(handle: &Handle<Verifier>, is_rsa: bool) -> Result<Option<HashAlg>, russh::Error> {
    if !is_rsa {
        return Ok(None);
    }
    Ok(handle
        .best_supported_rsa_hash()
        .await?
        .unwrap_or(Some(HashAlg::Sha256)))
}
