//! The operator's authority and the certificates of machines, as files in the store.

/// The authority or a certificate cannot be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] berth_controller_store::WriteError),
    /// The certificates' lock cannot be had.
    #[error(transparent)]
    Lock(#[from] berth_controller_store::LockError),
}
