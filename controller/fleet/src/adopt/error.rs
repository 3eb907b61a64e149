//! How taking over a host fails.

use berth_controller_client::IdentityError;
use berth_controller_pki::IssueError;
use berth_controller_ssh::{ConfigError, ConnectError, HostKeyError};
use berth_controller_store::{LockError, WriteError};

use crate::host::HostError;
use crate::{CredentialsError, MachineError};

/// A host cannot be taken over. There is no machine of it then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// The name or the driver.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// There is a machine of that name.
    #[error("machine {0:?} already exists")]
    Exists(String),
    /// Another process works on a machine of that name.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] WriteError),
    /// The authority cannot be made or used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The host's key that was given makes no sense.
    #[error("host key that was given cannot be used")]
    HostKey(#[source] HostKeyError),
    /// The operator's SSH configuration cannot be used.
    #[error("cannot find the way to {host}")]
    Config {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: ConfigError,
    },
    /// The host cannot be logged in to.
    #[error("cannot log in to {host}")]
    Connect {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: Box<ConnectError>,
    },
    /// Something could not be done on the host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// No agent runs there.
    #[error("no berthd runs on {host}: {why}")]
    NoAgent {
        /// The host.
        host: String,
        /// How that is known.
        why: String,
    },
    /// Its certificates make no sense.
    #[error("the agent on {host} has {what} that cannot be used")]
    Certificates {
        /// The host.
        host: String,
        /// Which file.
        what: &'static str,
    },
    /// A certificate for it cannot be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// Our own certificates cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The agent does not answer to us.
    #[error("the agent on {host} was told to trust this operator, but does not answer: {said}")]
    Answer {
        /// The host.
        host: String,
        /// What came of trying.
        said: String,
    },
}

impl AdoptError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(error) => error.hint(),
            Self::Exists(_) => Some("choose another name with --name".to_owned()),
            Self::Store(error) => error.hint(),
            Self::Connect { source, .. } => source.hint().or_else(|| {
                Some(
                    "the user and the port stand in USER@HOST:PORT; --ssh-key names the private \
                     key"
                    .to_owned(),
                )
            }),
            Self::Host(error) => error.hint(),
            Self::NoAgent { host, .. } => Some(format!(
                "berth machine create --driver generic --generic-ip-address {host} NAME puts one \
                 there or brings it up to date"
            )),
            Self::Answer { .. } => Some(
                "journalctl -u berthd or /var/log/berthd.log on the host tells more, and a \
                 firewall may close the engine's port; the same command again goes on"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}
