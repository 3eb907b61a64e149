//! How the controller logs in: with a key of the machine, or with the operator's agent and keys.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::client::Handle;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey, load_secret_key};
use tokio::net::UnixStream;

use crate::connect::Verifier;

/// The operator's own keys, in the order in which OpenSSH tries them.
const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

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
    /// The key file needs a passphrase, and no agent has the key.
    #[error(
        "private key {} needs a passphrase; add it to an ssh agent (ssh-add) first",
        path.display()
    )]
    Encrypted {
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

/// Logs in `user` with the key at `key`, or with the operator's own keys.
pub(crate) async fn log_in(
    handle: &mut Handle<Verifier>,
    user: &str,
    key: Option<&Path>,
) -> Result<Login, LoginError> {
    match key {
        Some(path) => log_in_with_file(handle, user, path).await,
        None => log_in_with_own_keys(handle, user).await,
    }
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

async fn log_in_with_file(
    handle: &mut Handle<Verifier>,
    user: &str,
    path: &Path,
) -> Result<Login, LoginError> {
    let tried = format!("key {}", path.display());
    let done = match load_secret_key(path, None) {
        Ok(key) => offer(handle, user, key).await?,
        Err(russh::keys::Error::KeyIsEncrypted) => {
            let public = encrypted_public_key(path);
            let Some(mut agent) = connect_agent().await else {
                return Err(IdentityError::Encrypted {
                    path: path.to_owned(),
                }
                .into());
            };
            let held = agent_keys(&mut agent).await;
            match public.filter(|public| held.iter().any(|k| k.key_data() == public.key_data())) {
                Some(public) => offer_from_agent(handle, user, public, &mut agent).await?,
                None => {
                    return Err(IdentityError::Encrypted {
                        path: path.to_owned(),
                    }
                    .into());
                }
            }
        }
        Err(source) => {
            return Err(IdentityError::Unreadable {
                path: path.to_owned(),
                source,
            }
            .into());
        }
    };
    Ok(if done {
        Login::Done
    } else {
        Login::Refused { tried }
    })
}

async fn log_in_with_own_keys(
    handle: &mut Handle<Verifier>,
    user: &str,
) -> Result<Login, LoginError> {
    let mut tried = Vec::new();
    if let Some(mut agent) = connect_agent().await {
        for key in agent_keys(&mut agent).await {
            tried.push(format!("agent key {}", key.fingerprint(HashAlg::Sha256)));
            if offer_from_agent(handle, user, key, &mut agent).await? {
                return Ok(Login::Done);
            }
        }
    }
    let directory = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".ssh"));
    for path in directory
        .iter()
        .flat_map(|d| DEFAULT_KEYS.map(|name| d.join(name)))
    {
        // A key that is absent or needs a passphrase is passed over, as OpenSSH does it.
        if let Ok(key) = load_secret_key(&path, None) {
            tried.push(format!("key {}", path.display()));
            if offer(handle, user, key).await? {
                return Ok(Login::Done);
            }
        }
    }
    if tried.is_empty() {
        return Err(IdentityError::None.into());
    }
    Ok(Login::Refused {
        tried: tried.join(", "),
    })
}

/// Offers one key that is in this process.
async fn offer(
    handle: &mut Handle<Verifier>,
    user: &str,
    key: PrivateKey,
) -> Result<bool, russh::Error> {
    let hash = signature_hash(handle, key.public_key()).await?;
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
    Ok(handle.authenticate_publickey(user, key).await?.success())
}

/// Offers one key that an agent holds; an agent that declines is a key that was not taken.
async fn offer_from_agent(
    handle: &mut Handle<Verifier>,
    user: &str,
    key: PublicKey,
    agent: &mut AgentClient<UnixStream>,
) -> Result<bool, russh::Error> {
    let hash = signature_hash(handle, &key).await?;
    match handle
        .authenticate_publickey_with(user, key, hash, agent)
        .await
    {
        Ok(result) => Ok(result.success()),
        Err(russh::AgentAuthError::Key(_)) => Ok(false),
        Err(russh::AgentAuthError::Send(_)) => Err(russh::Error::SendError),
    }
}

/// Returns the hash for signatures of RSA keys: what the server names, else SHA-256, as servers
/// that name nothing are old but those that only know SHA-1 are older than OpenSSH 7.2.
async fn signature_hash(
    handle: &Handle<Verifier>,
    key: &PublicKey,
) -> Result<Option<HashAlg>, russh::Error> {
    if !key.algorithm().is_rsa() {
        return Ok(None);
    }
    Ok(handle
        .best_supported_rsa_hash()
        .await?
        .unwrap_or(Some(HashAlg::Sha256)))
}

async fn connect_agent() -> Option<AgentClient<UnixStream>> {
    AgentClient::connect_env().await.ok()
}

async fn agent_keys(agent: &mut AgentClient<UnixStream>) -> Vec<PublicKey> {
    let identities = agent.request_identities().await.unwrap_or_default();
    let key = |identity| match identity {
        AgentIdentity::PublicKey { key, .. } => Some(key),
        AgentIdentity::Certificate { .. } => None,
    };
    identities.into_iter().filter_map(key).collect()
}

/// Returns the public half of an encrypted key: it is in clear in OpenSSH's format.
fn encrypted_public_key(path: &Path) -> Option<PublicKey> {
    let key = PrivateKey::read_openssh_file(path).ok()?;
    Some(key.public_key().clone())
}
