//! Connecting, verifying the host, logging in.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use russh::client::{self, Handle};
use russh::{Preferred, SshId, cipher, compression};
use tokio::time::{Instant, sleep, timeout as within};

use crate::forward::Incoming;
use crate::identity::{Login, LoginError, log_in};
use crate::verify::Verifier;
use crate::{Endpoint, ExecError, HostKey, HostKeyPolicy, IdentityError, ask, transport};

/// First pause between two attempts while a host is coming up; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// A host that says nothing for this long is asked whether it is still there …
const KEEPALIVE: Duration = Duration::from_secs(15);
/// … and given up after this many unanswered questions.
const KEEPALIVE_MAX: usize = 3;

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
    /// The host has another key than the operator's files of known hosts say.
    #[error(
        "host key of {address} has changed: {} line {line} has {expected}, the host shows \
         {presented}", path.display()
    )]
    KnownHostChanged {
        /// Host and port.
        address: String,
        /// The key on record.
        expected: Box<HostKey>,
        /// The key that came.
        presented: Box<HostKey>,
        /// What the host is called in the file.
        name: String,
        /// The file.
        path: PathBuf,
        /// Its line.
        line: usize,
    },
    /// Nobody knows the host.
    #[error("ssh server {address} is not among the known hosts; it shows {presented}")]
    UnknownHost {
        /// Host and port.
        address: String,
        /// The key that came.
        presented: Box<HostKey>,
    },
    /// The host's key is marked as void.
    #[error("host key {presented} of {address} is revoked")]
    Revoked {
        /// Host and port.
        address: String,
        /// The key that came.
        presented: Box<HostKey>,
    },
    /// The host's certificate proves nothing.
    #[error("certificate of ssh server {address} cannot be trusted: {reason}")]
    HostCertificate {
        /// Host and port.
        address: String,
        /// Why.
        reason: &'static str,
    },
    /// The files of known hosts cannot be read or written.
    #[error("files of known hosts cannot be used")]
    KnownHosts(#[source] io::Error),
    /// A jump host does not let us through.
    #[error("jump host {hop} does not lead to {address}")]
    Jump {
        /// The jump host.
        hop: String,
        /// Where it should lead.
        address: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
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
    pub(crate) incoming: Arc<Incoming>,
    host_key: HostKey,
    address: String,
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
        let connecting = limited(timeout, Self::establish(endpoint, policy));
        connecting.await.unwrap_or_else(|| {
            Err(ConnectError::Timeout {
                address: endpoint.address(),
                timeout,
            })
        })
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

    /// Waits until the connection has ended, without giving it up.
    pub(crate) async fn ended(&self) {
        while !self.handle.is_closed() {
            // The library tells nobody when a connection ends; whoever only waits is in no hurry.
            sleep(LONGEST_PAUSE).await;
        }
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

    /// Waits until the connection has ended, by whoever's doing, such as the host's going down.
    pub async fn closed(self) {
        // However it has ended, it has.
        let _ = self.handle.await;
    }

    pub(crate) async fn establish(
        endpoint: &Endpoint,
        policy: &HostKeyPolicy,
    ) -> Result<Self, ConnectError> {
        let address = endpoint.address();
        let verifier = Verifier::new(endpoint, policy)?;
        let stream = transport::open(endpoint).await?;
        let decision = verifier.decision();
        let incoming = Arc::clone(&verifier.incoming);
        let config = Arc::new(configuration(endpoint, &verifier));
        let connected = client::connect_stream(config, stream, verifier).await;
        let (host_key, refusal) = {
            let mut outcome = decision.lock().unwrap_or_else(PoisonError::into_inner);
            (outcome.presented.clone(), outcome.refusal.take())
        };
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        let failed = |source| ConnectError::Protocol {
            address: address.clone(),
            source,
        };
        let mut handle = connected.map_err(failed)?;
        let host_key = host_key.ok_or_else(|| failed(russh::Error::UnknownKey))?;
        match log_in(&mut handle, endpoint).await {
            Ok(Login::Done) => Ok(Self {
                handle,
                host_key,
                address,
                incoming,
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
            // The host behind a jump host may be what is not up.
            Self::Jump { source, .. } => match source.downcast_ref::<Self>() {
                Some(error) => error.may_pass(),
                None => source.is::<ExecError>(),
            },
            _ => false,
        }
    }

    /// Returns what the operator can do about it, where that does not depend on the machine.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let advice = match self {
            Self::KnownHostChanged { name, path, .. } => format!(
                "somebody may be in between, or the host was installed anew; if you know that it \
                 was: ssh-keygen -R '{name}' -f {}",
                path.display()
            ),
            Self::UnknownHost { .. } => "log in to it once with ssh, and compare the fingerprint \
                                         with the host's own (ssh-keygen -lf \
                                         /etc/ssh/ssh_host_ed25519_key.pub)"
                .to_owned(),
            Self::Jump { source, .. } => return source.downcast_ref::<Self>()?.hint(),
            Self::Refused { user, .. } => format!(
                "is {user:?} the right user, and one of the keys in its ~/.ssh/authorized_keys?"
            ),
            _ => return None,
        };
        Some(advice)
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

/// Calls the future until it is ready or the time is over; a person who is being asked for
/// something gets all the time that they need.
async fn limited<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    loop {
        match within(limit, &mut future).await {
            Ok(value) => return Some(value),
            Err(_elapsed) if ask::is_open() => {}
            Err(_elapsed) => return None,
        }
    }
}

fn configuration(endpoint: &Endpoint, verifier: &Verifier) -> client::Config {
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-berth_",
            env!("CARGO_PKG_VERSION")
        ))),
        preferred: Preferred {
            key: Cow::Owned(verifier.algorithms()),
            host_key_certificates: Cow::Owned(verifier.certificate_algorithms()),
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
        keepalive_interval: Some(endpoint.config.alive_interval.unwrap_or(KEEPALIVE)),
        keepalive_max: endpoint.config.alive_max.unwrap_or(KEEPALIVE_MAX),
        nodelay: true,
        ..client::Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
