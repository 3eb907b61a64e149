//! Clients are judged by the authorities' signatures and then by the list of revocations.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::material::is_only_expired;
use crate::revocations::Revocations;
use crate::{Fingerprint, clock};

/// Judges clients.
#[derive(Debug)]
pub(crate) struct Verifier {
    pub(crate) signatures: Arc<dyn ClientCertVerifier>,
    pub(crate) revocations: Arc<Revocations>,
    /// Our own certificate: it cannot be earlier than when that was made.
    pub(crate) own: Option<CertificateDer<'static>>,
}

impl Verifier {
    /// Judges a client as in a handshake.
    pub(crate) fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<(), Error> {
        let (leaf, between) = split(chain)?;
        self.verify_client_cert(leaf, between, UnixTime::now())
            .map(drop)
    }

    /// Returns whether a client that is connected may stay. One whose certificate has expired since
    /// may, if it would be let in were it not for that: expiry is about who comes in, and streams
    /// are long.
    pub(crate) fn keeps(&self, chain: &[CertificateDer<'_>]) -> bool {
        match self.judge(chain) {
            Ok(()) => true,
            // Time is judged before signatures, which therefore nobody has looked at yet.
            Err(error) if is_only_expired(&error) => split(chain).is_ok_and(|(leaf, between)| {
                clock::end(leaf).is_some_and(|end| {
                    self.signatures
                        .verify_client_cert(leaf, between, end)
                        .is_ok()
                })
            }),
            Err(_) => false,
        }
    }
}

fn split<'a, 'b>(
    chain: &'a [CertificateDer<'b>],
) -> Result<(&'a CertificateDer<'b>, &'a [CertificateDer<'b>]), Error> {
    chain.split_first().ok_or(Error::NoCertificatesPresented)
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.signatures.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // First, for what is said of its time says nothing else.
        if self.revocations.contains(&Fingerprint::of(end_entity)) {
            return Err(CertificateError::Revoked.into());
        }
        let now = clock::not_before(now, self.own.as_ref());
        self.signatures
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.supported_verify_schemes()
    }
}
