//! The operator's own authority, and the certificates it signs.
//!
//! Keys are ECDSA P-256; an RSA authority that docker-machine has made is used as it is. A
//! machine's certificate carries a name that never changes beside the addresses that may, so that
//! berth trusts the name and docker's tools the address. Nothing here touches files.

mod authority;
mod certificate;
mod fingerprint;
mod pem;
mod pkcs;
mod subject;
mod validity;

pub use authority::{
    Authority, AuthorityError, ClientIdentity, IssueError, Issued, ServerIdentity, stable_name,
};
pub use certificate::{CertificateError, CertificateFacts};
pub use fingerprint::sha256_hex;
pub use pkcs::key_belongs;
pub use validity::Validity;
