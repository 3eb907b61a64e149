//! How a conversation with a registry fails.

use crate::ErrorKind;

/// The reasons why a registry does not do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No connection can be made.
    #[error("cannot reach the registry {registry}")]
    Unreachable {
        /// The registry.
        registry: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// A connection broke, or nothing came for a long time.
    #[error("the registry {registry} broke off")]
    Interrupted {
        /// The registry.
        registry: String,
        /// How.
        #[source]
        source: reqwest::Error,
    },
    /// The registry (or its token server) does not accept who is asking.
    #[error("the registry {registry} denies access: {detail}")]
    Unauthorized {
        /// The registry.
        registry: String,
        /// Its reason.
        detail: String,
    },
    /// There is no such thing in the registry.
    #[error("the registry {registry} does not have it: {detail}")]
    NotFound {
        /// The registry.
        registry: String,
        /// Its words.
        detail: String,
    },
    /// The registry refuses or fails.
    #[error("the registry {registry} answered with status {status}: {detail}")]
    Refused {
        /// The registry.
        registry: String,
        /// The HTTP status.
        status: u16,
        /// Its words.
        detail: String,
    },
    /// The registry does not keep to the protocol.
    #[error("the registry {registry} gave a wrong answer: {detail}")]
    Protocol {
        /// The registry.
        registry: String,
        /// What is wrong.
        detail: String,
    },
    /// The local end of a transfer cannot be read.
    #[error("cannot read what is to be sent")]
    Local(#[source] std::io::Error),
    /// The caller does not want it any more.
    #[error("the transfer was stopped")]
    Cancelled,
}

impl RegistryError {
    /// Returns what kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable { .. } | Self::Interrupted { .. } | Self::Refused { .. } => {
                ErrorKind::Unavailable
            }
            Self::Unauthorized { .. } => ErrorKind::Unauthorized,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Protocol { .. } => ErrorKind::Invalid,
            Self::Local(_) | Self::Cancelled => ErrorKind::Internal,
        }
    }

    /// Tells whether the same request may well succeed a moment later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Interrupted { .. } => true,
            Self::Unreachable { source, .. } => !is_refused(source),
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500..=599),
            _ => false,
        }
    }

    /// Sorts what the HTTP client reports.
    pub(super) fn from_client(registry: &str, source: reqwest::Error) -> Self {
        let registry = registry.to_owned();
        // The address may carry an upload's secrets and says nothing to people.
        let source = source.without_url();
        if source.is_connect() {
            return Self::Unreachable { registry, source };
        }
        Self::Interrupted { registry, source }
    }
}

/// Nobody listens there; asking again at once is pointless.
fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>()
            && error.kind() == std::io::ErrorKind::ConnectionRefused
        {
            return true;
        }
        cause = error.source();
    }
    false
}
