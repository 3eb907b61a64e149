//! Connecting, verifying the host, logging in.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::{HostKey, IdentityError};

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
        source: std::io::Error,
    },
    /// The host took too long.
    #[error("ssh server {address} did not answer within {} s", timeout.as_secs())]
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
        expected: HostKey,
        /// The key that came.
        presented: HostKey,
    },
    /// The host took none of our keys.
    #[error("ssh server {address} refused to log in user {user} ({tried})")]
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
/// Cheap to share by reference; commands run at the same time over it. Dropping it closes the
/// connection.
pub struct Session {
    _private: (),
}

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
        todo!("{endpoint:?} {policy:?} {timeout:?}")
    }

    /// Like [`Session::connect`], but tries again while the host is coming up: as long as the
    /// port is not reachable or closes at once.
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
        todo!("{endpoint:?} {policy:?} {patience:?}")
    }

    /// Returns the key that the host has shown.
    #[must_use]
    pub fn host_key(&self) -> &HostKey {
        todo!()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").finish_non_exhaustive()
    }
}
