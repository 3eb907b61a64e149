//! Who may speak to this agent, and how it proves who it is: mutual TLS whose certificate,
//! authorities and revocations can be changed while connections are open.
//!
//! [`Trust`] holds what is in force. A listener takes [`Trust::gate`] for each handshake, so that a
//! change counts from the next one on, and keeps the [`Admission`] it gets afterwards with the
//! connection: when that client is no longer trusted, [`Guarded`] ends the connection. Files are
//! replaced one by one and always in an order that a crash cannot turn into a lock-out.
//!
//! Not here: sockets, gRPC, and what a certificate allows beyond being let in.

mod clock;
mod connections;
mod files;
mod fingerprint;
mod guarded;
mod install;
mod material;
mod revocations;
mod trust;
mod verifier;

pub use connections::{Admission, Chain, NotAdmitted};
pub use fingerprint::Fingerprint;
pub use guarded::Guarded;
pub use install::{Change, InstallError};
pub use material::MaterialError;
pub use revocations::{Revocation, RevocationsError};
pub use trust::{Caller, Description, Gate, RevokeError, Trust, TrustError, TrustFiles};
