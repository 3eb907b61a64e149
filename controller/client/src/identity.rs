//! Who the controller is, and who it takes the agent to be.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use sha2::{Digest as _, Sha256};

/// The controller's certificate, and what the agent must show.
#[derive(Clone)]
pub struct Identity {
    config: Arc<ClientConfig>,
    server_name: ServerName<'static>,
    refused: Arc<[String]>,
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
    /// A file is not in PEM form.
    #[error("{what} is not in PEM form")]
    Pem {
        /// Which text.
        what: &'static str,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The certificate or key makes no sense.
    #[error("certificates of the controller cannot be used")]
    Unusable(#[from] rustls::Error),
    /// The name is neither a host name nor an address.
    #[error("{0:?} cannot be the name of an agent")]
    Name(String),
}

impl Identity {
    /// Makes an identity from texts: the authority's certificate, the controller's certificate and
    /// key, and the name (or address) that the agent's certificate must have.
    ///
    /// # Errors
    ///
    /// When one of them makes no sense.
    pub fn new(
        ca_pem: &[u8],
        cert_pem: &[u8],
        key_pem: &[u8],
        server_name: &str,
    ) -> Result<Self, IdentityError> {
        let pem = |what| move |source| IdentityError::Pem { what, source };
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem) {
            roots.add(certificate.map_err(pem("certificate of the authority"))?)?;
        }
        let chain = CertificateDer::pem_slice_iter(cert_pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(pem("certificate of the controller"))?;
        let key =
            PrivateKeyDer::from_pem_slice(key_pem).map_err(pem("private key of the controller"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        let server_name = ServerName::try_from(server_name.to_owned())
            .map_err(|_error| IdentityError::Name(server_name.to_owned()))?;
        Ok(Self {
            config: Arc::new(config),
            server_name,
            refused: Arc::default(),
        })
    }

    /// Returns the same identity for an agent whose certificate must have another name.
    ///
    /// # Errors
    ///
    /// When it can be the name of no agent.
    pub fn for_server(&self, server_name: &str) -> Result<Self, IdentityError> {
        let name = ServerName::try_from(server_name.to_owned());
        Ok(Self {
            config: Arc::clone(&self.config),
            refused: Arc::clone(&self.refused),
            server_name: name.map_err(|_error| IdentityError::Name(server_name.to_owned()))?,
        })
    }

    /// Makes an identity from files.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read or makes no sense.
    pub fn load(
        ca: &Path,
        cert: &Path,
        key: &Path,
        server_name: &str,
    ) -> Result<Self, IdentityError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| IdentityError::Unreadable {
                path: path.to_owned(),
                source,
            })
        };
        Self::new(&read(ca)?, &read(cert)?, &read(key)?, server_name)
    }

    /// Returns the same identity, which does not accept agents with these certificates (SHA-256,
    /// hexadecimal), whoever has signed them.
    #[must_use]
    pub fn refusing(mut self, fingerprints: Vec<String>) -> Self {
        self.refused = fingerprints.into();
        self
    }

    /// Returns whether an agent's certificate is to be accepted although it is valid.
    pub(crate) fn accepts(&self, certificate: &CertificateDer<'_>) -> bool {
        if self.refused.is_empty() {
            return true;
        }
        let print = hex::encode(Sha256::digest(certificate));
        !self.refused.contains(&print)
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    pub(crate) fn server_name(&self) -> ServerName<'static> {
        self.server_name.clone()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Identity")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}
