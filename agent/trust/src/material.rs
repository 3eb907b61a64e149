//! Authorities, certificate and key, parsed and checked to belong together.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, RootCertStore, ServerConfig, version};
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use crate::revocations::Revocations;
use crate::verifier::Verifier;
use crate::{Fingerprint, clock};

/// Certificates or a key that cannot be served with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaterialError {
    /// A text is not in PEM form.
    #[error("{what} is not in PEM form")]
    Pem {
        /// Which text.
        what: &'static str,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// A text has nothing in it.
    #[error("{what} is missing")]
    Missing {
        /// Which.
        what: &'static str,
    },
    /// An authority's certificate makes no sense.
    #[error("certificate of an authority cannot be used")]
    Authority(#[source] Error),
    /// The key is of no usable kind.
    #[error("the agent's key cannot be used")]
    Key(#[source] Error),
    /// The key is not the certificate's.
    #[error("the agent's key does not belong to its certificate")]
    Mismatch,
    /// TLS cannot be set up with them.
    #[error("the agent's certificate cannot be served with")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What TLS needs of our side.
#[derive(Clone, Debug)]
pub(crate) struct Material {
    pub(crate) roots: Vec<CertificateDer<'static>>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    key: Arc<dyn rustls::sign::SigningKey>,
}

impl Material {
    /// Reads and checks the texts of the three files.
    pub(crate) fn parse(ca: &[u8], cert: &[u8], key: &[u8]) -> Result<Self, MaterialError> {
        let roots = certificates(ca, "the authorities' certificate")?;
        let chain = certificates(cert, "the agent's certificate")?;
        Self::new(roots, chain, parse_key(key)?)
    }

    pub(crate) fn new(
        roots: Vec<CertificateDer<'static>>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, MaterialError> {
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(MaterialError::Key)?;
        let certified = CertifiedKey::new(chain, Arc::clone(&key));
        certified
            .keys_match()
            .map_err(|_error| MaterialError::Mismatch)?;
        let material = Self {
            roots,
            chain: certified.cert,
            key,
        };
        material.root_store()?;
        Ok(material)
    }

    /// Returns the same certificate and key with other authorities.
    pub(crate) fn with_roots(
        &self,
        roots: Vec<CertificateDer<'static>>,
    ) -> Result<Self, MaterialError> {
        let material = Self {
            roots,
            ..self.clone()
        };
        material.root_store()?;
        Ok(material)
    }

    fn root_store(&self) -> Result<RootCertStore, MaterialError> {
        if self.roots.is_empty() {
            return Err(MaterialError::Missing {
                what: "the authorities' certificate",
            });
        }
        let mut store = RootCertStore::empty();
        for root in &self.roots {
            store.add(root.clone()).map_err(MaterialError::Authority)?;
        }
        Ok(store)
    }

    /// Returns what judges clients.
    pub(crate) fn verifier(
        &self,
        revocations: &Arc<Revocations>,
    ) -> Result<Arc<Verifier>, MaterialError> {
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(self.root_store()?), provider());
        let signatures = builder
            .build()
            .map_err(|error| MaterialError::Tls(error.into()))?;
        Ok(Arc::new(Verifier {
            signatures,
            revocations: Arc::clone(revocations),
            own: self.chain.first().cloned(),
        }))
    }

    /// Returns what answers handshakes.
    pub(crate) fn server_config(
        &self,
        verifier: Arc<dyn ClientCertVerifier>,
    ) -> Result<Arc<ServerConfig>, MaterialError> {
        let certified = CertifiedKey::new(self.chain.clone(), Arc::clone(&self.key));
        let mut config = ServerConfig::builder_with_provider(provider())
            // docker-py before 7, and with it docker-compose 1, speak nothing newer than 1.2.
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(|error| MaterialError::Tls(error.into()))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Every call of the controller is a new process that could not resume a session. And a
        // session that is resumed would not be judged by a changed list of revocations.
        config.send_tls13_tickets = 0;
        config.require_ems = true;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Arc::new(config))
    }

    /// Judges our own certificate as a client would that trusts our authorities.
    pub(crate) fn check_chain(&self) -> Result<(), Error> {
        let (leaf, between) = self
            .chain
            .split_first()
            .ok_or(Error::NoCertificatesPresented)?;
        let roots = self.root_store().map_err(|error| match error {
            MaterialError::Authority(error) => error,
            _ => Error::NoCertificatesPresented,
        })?;
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(leaf)?,
            &roots,
            between,
            clock::not_before(UnixTime::now(), Some(leaf)),
            provider().signature_verification_algorithms.all,
        )
    }
}

/// Returns whether a certificate only has the wrong time: it was trusted once.
pub(crate) fn is_only_expired(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. }
        )
    )
}

/// Reads certificates, at least one.
pub(crate) fn certificates(
    pem: &[u8],
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let found = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| MaterialError::Pem { what, source })?;
    if found.is_empty() {
        return Err(MaterialError::Missing { what });
    }
    Ok(found)
}

pub(crate) fn parse_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, MaterialError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|source| MaterialError::Pem {
        what: "the agent's key",
        source,
    })
}

/// Returns `certificates` as one PEM text, each once.
pub(crate) fn to_pem(certificates: &[CertificateDer<'static>]) -> String {
    let mut seen = Vec::new();
    let mut text = String::new();
    for certificate in certificates {
        let fingerprint = Fingerprint::of(certificate);
        if seen.contains(&fingerprint) {
            continue;
        }
        seen.push(fingerprint);
        text.push_str(&one_pem(certificate));
    }
    text
}

pub(crate) fn one_pem(certificate: &CertificateDer<'_>) -> String {
    const LINE: usize = 64;
    let base64 = STANDARD.encode(certificate);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
