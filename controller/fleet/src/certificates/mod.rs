//! The operator's authority, the certificates of machines and clients, and how they stay good.
//!
//! What should be is decided from files alone ([`due`]), which is quick enough for every contact
//! with a machine. What is due is done over the live channel ([`settle`]): authorities are added
//! first, then the agent gets a new certificate for a key that it makes itself, then the client's
//! own copy is replaced, and only then is anything taken away. So a process that is killed at any
//! point leaves a machine that is reached with the files that are there, and the next contact goes
//! on. A machine that no longer lets us in by TLS because something has expired is reached through
//! SSH instead ([`contact`]).
//!
//! ```text
//! certs/ca.pem            the authority, then older ones that are still trusted
//! certs/ca-key.pem        the authority's key
//! certs/{cert,key}.pem    the client certificate
//! certs/berth.json        retired authorities, revocations, issued clients ([`register`])
//! certs/next-ca-key.pem   the key of an authority about to be put in force
//! machines/NAME/next-server{,-key}.pem  what an agent gets that has not answered with it yet
//! ```

mod authority;
mod clients;
mod contact;
mod due;
mod files;
mod machine;
mod over_ssh;
mod regenerate;
mod register;
mod report;
mod revoke;
mod rollover;
mod settle;
#[cfg(test)]
mod tests;

pub use authority::CredentialsError;
pub use clients::{ClientRights, IssuedClient};
pub use regenerate::{CertificatesError, RegenerateOptions};
pub use report::{CertificateKind, CertificateRow, CertificateStatus};
pub use revoke::{RevokeError, RevokeOutcome, RevokeReport};
pub use rollover::{RolloverError, RolloverReport, RolloverState};

pub(crate) use authority::authority;
pub(crate) use clients::Guest;
pub(crate) use due::Book;
pub(crate) use machine::{OnHost, confirm, foreign_issuer, machine_files, shown_name};
pub(crate) use register::revoked_machines;
