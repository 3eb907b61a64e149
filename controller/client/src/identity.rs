//! Who the controller is, and who it takes the agent to be.

use std::path::PathBuf;

/// The controller's certificate, and what the agent must show.
#[derive(Clone, Debug)]
pub struct Identity {
    _private: (),
}

/// An identity cannot be made from these files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("certificate file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The certificate or key makes no sense.
    #[error("certificates of the controller cannot be used")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}
