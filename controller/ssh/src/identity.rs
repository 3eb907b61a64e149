//! How the controller logs in: a key of the machine, or the operator's own keys and agent.

use std::path::PathBuf;

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
}
