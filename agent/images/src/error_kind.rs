//! The few kinds of failure that callers treat differently.

/// What kind of failure an error of this room is, for exit codes, wire codes and hints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// There is no such image, tag or repository.
    NotFound,
    /// The registry wants other credentials.
    Unauthorized,
    /// The registry cannot be reached, or fails.
    Unavailable,
    /// What arrived is not what its digest says.
    DigestMismatch,
    /// The machine's disk is full.
    DiskFull,
    /// The caller's input, or the image, is malformed.
    Invalid,
    /// Something else uses it.
    Conflict,
    /// The image is of a kind that this engine does not handle.
    Unsupported,
    /// Anything else.
    Internal,
}
