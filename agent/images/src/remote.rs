//! What is asked of a registry without anything being fetched: whether it takes credentials, and what
//! it has under a name.

use crate::registry::{Endpoint, Purpose, RegistryError, Session};
use crate::{
    Credentials, Digest, ErrorKind, ImageConfiguration, Images, Platform, PullError, Reference,
};

/// Repository of a session that is about none.
const NO_REPOSITORY: &str = "login";

/// What a registry has under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Type of the manifest or the list of them.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// What there are images for.
    pub platforms: Vec<Platform>,
}

/// Credentials are not accepted.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The registry's name is none.
    #[error("{server:?} is no address of a registry")]
    Address {
        /// As given.
        server: String,
    },
    /// The registry says so, or cannot be asked.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl LoginError {
    /// Returns what kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Address { .. } => ErrorKind::Invalid,
            Self::Registry(error) => error.kind(),
        }
    }
}

impl Images {
    /// Asks a registry whether it takes credentials. `server` is a host with an optional port.
    ///
    /// # Errors
    ///
    /// Fails when it does not, or cannot be reached.
    pub async fn login(&self, server: &str, credentials: &Credentials) -> Result<(), LoginError> {
        let wrong = || LoginError::Address {
            server: server.to_owned(),
        };
        let reference: Reference = Reference::parse(&format!("{server}/{NO_REPOSITORY}"))
            .map_err(|_no_reference| wrong())?;
        let endpoint = Endpoint::of(&reference, &self.inner.insecure)
            .await
            .ok_or_else(wrong)?;
        let session =
            Session::open(endpoint, NO_REPOSITORY, credentials, Purpose::Login, &[]).await?;
        Ok(session.verify().await?)
    }

    /// Asks a registry what it has under a name.
    ///
    /// # Errors
    ///
    /// Fails when it has nothing, or cannot be reached.
    pub async fn remote(
        &self,
        reference: &Reference,
        credentials: &Credentials,
    ) -> Result<Remote, PullError> {
        let reference = reference.clone().definite();
        let fail = |source| PullError::registry(&reference, source);
        let endpoint = Endpoint::of(&reference, &self.inner.insecure).await;
        let endpoint = endpoint.ok_or_else(|| PullError::NoAddress {
            reference: reference.familiar(),
        })?;
        let session = Session::open(endpoint, reference.path(), credentials, Purpose::Pull, &[])
            .await
            .map_err(fail)?;
        let name = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let manifest = session.manifest(&name).await.map_err(fail)?;
        let malformed = |what| {
            let digest = manifest.digest.clone();
            move |source| PullError::Malformed {
                what,
                digest,
                source,
            }
        };
        let platforms = if manifest.is_list() {
            manifest.platforms().map_err(malformed("manifest list"))?
        } else {
            let parts = manifest.image().map_err(malformed("manifest"))?;
            let bytes = session.small_blob(&parts.config.digest).await;
            let config: ImageConfiguration = serde_json::from_slice(&bytes.map_err(fail)?)
                .map_err(malformed("configuration"))?;
            vec![Platform {
                os: config.os,
                architecture: config.architecture,
                variant: config.variant.unwrap_or_default(),
            }]
        };
        Ok(Remote {
            size_bytes: manifest.text.len() as u64,
            media_type: manifest.media_type,
            digest: manifest.digest,
            platforms,
        })
    }
}
