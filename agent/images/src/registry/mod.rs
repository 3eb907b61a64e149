//! Talking to registries by the OCI distribution protocol.
//!
//! A [`Session`] is one conversation about one repository: it finds out how the registry is reached
//! and how it wants to be convinced, and is thrown away afterwards with its connections, so that an
//! idle agent holds none.

mod challenge;
mod download;
mod endpoint;
mod error;
mod manifest;
mod session;
mod token;
mod upload;

pub(crate) use download::Download;
pub(crate) use endpoint::{Endpoint, InsecureRegistries};
pub use error::RegistryError;
pub(crate) use manifest::{Descriptor, ImageManifest, Manifest, media_type};
pub(crate) use session::{Purpose, Session};
pub(crate) use upload::Uploaded;
