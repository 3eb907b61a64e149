//! Connecting, verifying the host, logging in.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, Handle};
use russh::keys::{Algorithm, HashAlg, PublicKeyOrCertificate};
use russh::{Preferred, SshId, cipher, compression};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout as within};

use crate::identity::{Login, LoginError, log_in};
use crate::{HostKey, IdentityError};

/// First pause between two attempts while a host is coming up; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// A host that says nothing for this long is asked whether it is still there …
const KEEPALIVE: Duration = Duration::from_secs(15);
/// … and given up after this many unanswered questions.
const KEEPALIVE_MAX: usize = 3;

/// Where to connect and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// The private key; `None` for the operator's agent and default keys.
    pub key: Option<PathBuf>,
}

/// What to do about the host's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKeyPolicy {
    /// Only this key will do.
    Pinned(HostKey),
    /// Take the key that comes; the caller writes it down.
    Learn,
}

/// No session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The port did not answer.
    #[error("ssh server {address} cannot be reached")]
    Unreachable {
        /// Host and port.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The host took too long.
    #[error("ssh server {address} did not answer within {:.1} s", timeout.as_secs_f32())]
    Timeout {
        /// Host and port.
        address: String,
        /// How long it had.
        timeout: Duration,
    },
    /// The host has another key than the one written down.
    #[error(
        "host key of {address} has changed: {expected} is on record, the host shows {presented}"
    )]
    HostKeyChanged {
        /// Host and port.
        address: String,
        /// The key on record.
        expected: Box<HostKey>,
        /// The key that came.
        presented: Box<HostKey>,
    },
    /// The host took none of our keys.
    #[error("ssh server {address} refused to log in user {user:?} (tried {tried})")]
    Refused {
        /// Host and port.
        address: String,
        /// The user.
        user: String,
        /// Which keys were tried.
        tried: String,
    },
    /// No key to log in with.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The protocol failed.
    #[error("ssh session with {address} failed")]
    Protocol {
        /// Host and port.
        address: String,
        /// Why.
        #[source]
        source: russh::Error,
    },
}

/// One authenticated connection.
///
/// Shared by reference; commands run at the same time over it. Dropping it, and the streams opened
/// on it, closes the connection.
pub struct Session {
    pub(crate) handle: Handle<Verifier>,
    host_key: HostKey,
    address: String,
}

/// Decides about the host's key, and keeps what the host has shown.
pub(crate) struct Verifier {
    expected: Option<HostKey>,
    presented: Arc<Mutex<Option<HostKey>>>,
}

// === impl Session ===

impl Session {
    /// Connects, verifies the host and logs in, within `timeout`.
    ///
    /// # Errors
    ///
    /// When any of it fails.
    pub async fn connect(
        endpoint: &Endpoint,
        policy: &HostKeyPolicy,
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        match within(timeout, Self::establish(endpoint, policy)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(ConnectError::Timeout {
                address: endpoint.address(),
                timeout,
            }),
        }
    }

    /// Like [`Session::connect`], but tries again while the host is coming up: as long as the
    /// port is not reachable, or the server closes at once.
    ///
    /// # Errors
    ///
    /// When `patience` is over, with the last failure; at once when the host's key or the login
    /// is refused.
    pub async fn connect_when_up(
        endpoint: &Endpoint,
        policy: &HostKeyPolicy,
        patience: Duration,
    ) -> Result<Self, ConnectError> {
        retry(patience, |left| Self::connect(endpoint, policy, left)).await
    }

    /// Returns the key that the host has shown.
    #[must_use]
    pub fn host_key(&self) -> &HostKey {
        &self.host_key
    }

    /// Returns the host and port that this session is with.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends the connection in an orderly way, so that nothing of it is left on the host.
    pub async fn close(self) {
        // Best effort: a connection that is broken already needs no goodbye.
        let _ = self
            .handle
            .disconnect(russh::Disconnect::ByApplication, "", "")
            .await;
        let _ = self.handle.await;
    }

    async fn establish(endpoint: &Endpoint, policy: &HostKeyPolicy) -> Result<Self, ConnectError> {
        let address = endpoint.address();
        let unreachable = |source| ConnectError::Unreachable {
            address: address.clone(),
            source,
        };
        let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port))
            .await
            .map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;

        let expected = match policy {
            HostKeyPolicy::Pinned(key) => Some(key.clone()),
            HostKeyPolicy::Learn => None,
        };
        let presented = Arc::new(Mutex::new(None));
        let config = Arc::new(configuration(expected.as_ref()));
        let verifier = Verifier {
            expected: expected.clone(),
            presented: Arc::clone(&presented),
        };
        let connected = client::connect_stream(config, stream, verifier).await;
        let shown = presented
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let (mut handle, host_key) = match (connected, shown) {
            (Ok(handle), Some(key)) => (handle, key),
            (Err(russh::Error::UnknownKey), Some(presented)) if let Some(expected) = expected => {
                return Err(ConnectError::HostKeyChanged {
                    address,
                    expected: Box::new(expected),
                    presented: Box::new(presented),
                });
            }
            (Ok(_), None) => {
                return Err(ConnectError::Protocol {
                    address,
                    source: russh::Error::UnknownKey,
                });
            }
            (Err(source), _) => return Err(ConnectError::Protocol { address, source }),
        };
        match log_in(&mut handle, &endpoint.user, endpoint.key.as_deref()).await {
            Ok(Login::Done) => Ok(Self {
                handle,
                host_key,
                address,
            }),
            Ok(Login::Refused { tried }) => Err(ConnectError::Refused {
                address,
                user: endpoint.user.clone(),
                tried,
            }),
            Err(LoginError::Identity(error)) => Err(error.into()),
            Err(LoginError::Protocol(source)) => Err(ConnectError::Protocol { address, source }),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// Returns host and port as one text.
    #[must_use]
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

// === impl ConnectError ===

impl ConnectError {
    /// Returns whether time ran out.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// Returns whether the host may just not be up yet.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            // Not among them: a name that does not resolve, which stays wrong.
            Self::Unreachable { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::NetworkDown
                    | io::ErrorKind::AddrNotAvailable
                    | io::ErrorKind::TimedOut
            ),
            Self::Protocol { source, .. } => matches!(
                source,
                russh::Error::Disconnect
                    | russh::Error::HUP
                    | russh::Error::IO(_)
                    | russh::Error::ConnectionTimeout
                    | russh::Error::SendError
                    | russh::Error::RecvError
            ),
            _ => false,
        }
    }
}

// === impl Verifier ===

impl client::Handler for Verifier {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        // Certificates are never asked for, so none is taken.
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Ok(false);
        };
        let key = HostKey::new(key);
        let good = self
            .expected
            .as_ref()
            .is_none_or(|expected| *expected == key);
        *self
            .presented
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(key);
        Ok(good)
    }
}

/// Calls `attempt` with the time that is left until it succeeds, fails for good, or `patience` is
/// over.
async fn retry<T, F>(
    patience: Duration,
    mut attempt: impl FnMut(Duration) -> F,
) -> Result<T, ConnectError>
where
    F: Future<Output = Result<T, ConnectError>>,
{
    let deadline = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let error = match attempt(left).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if !error.may_pass() || Instant::now() + pause >= deadline {
            return Err(error);
        }
        // Nothing announces that a far host's port has opened: asking again is the only way.
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn configuration(expected: Option<&HostKey>) -> client::Config {
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-berth_",
            env!("CARGO_PKG_VERSION")
        ))),
        preferred: Preferred {
            key: Cow::Owned(host_key_algorithms(expected)),
            // The first of the two is by far the fastest where the processor knows AES.
            cipher: Cow::Borrowed(&[
                cipher::AES_256_GCM,
                cipher::CHACHA20_POLY1305,
                cipher::AES_256_CTR,
                cipher::AES_192_CTR,
                cipher::AES_128_CTR,
            ]),
            // What is large is compressed before it is sent.
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVE_MAX,
        nodelay: true,
        ..client::Config::default()
    }
}

/// Returns the kinds of host key to ask for; the pinned key's kind first, since a host with
/// several keys shows the first kind that we name.
fn host_key_algorithms(expected: Option<&HostKey>) -> Vec<Algorithm> {
    let weak = Algorithm::Rsa { hash: None };
    let mut algorithms: Vec<Algorithm> = Preferred::DEFAULT
        .key
        .iter()
        .filter(|a| **a != weak)
        .cloned()
        .collect();
    if let Some(pinned) = expected.map(HostKey::algorithm) {
        let pinned = match pinned {
            Algorithm::Rsa { .. } => Algorithm::Rsa {
                hash: Some(HashAlg::Sha512),
            },
            other => other,
        };
        let is_rsa = pinned.clone().is_rsa();
        algorithms.sort_by_key(|a| *a != pinned && !(is_rsa && a.clone().is_rsa()));
    }
    algorithms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_kind_of_key_is_asked_for_first() {
        let ed25519 = HostKey::parse(
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
        )
        .unwrap();
        assert_eq!(host_key_algorithms(Some(&ed25519))[0], Algorithm::Ed25519);
        let ecdsa = HostKey::parse(
            "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo\
             2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=",
        )
        .unwrap();
        assert_eq!(host_key_algorithms(Some(&ecdsa))[0], ecdsa.algorithm());
    }

    #[tokio::test]
    async fn failures_for_good_are_not_retried() {
        let mut n_attempts = 0;
        let result: Result<(), _> = retry(Duration::from_secs(60), |_left| {
            n_attempts += 1;
            async { Err(ConnectError::Identity(IdentityError::None)) }
        })
        .await;
        result.unwrap_err();
        assert_eq!(n_attempts, 1);
    }

    #[test]
    fn addresses_of_ip_version_6_get_brackets() {
        let endpoint = Endpoint {
            host: "::1".to_owned(),
            port: 22,
            user: "root".to_owned(),
            key: None,
        };
        assert_eq!(endpoint.address(), "[::1]:22");
    }
}
