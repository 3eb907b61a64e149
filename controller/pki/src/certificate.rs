//! What a certificate says.

use std::net::IpAddr;

use time::OffsetDateTime;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::{Pem, parse_x509_pem};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::Validity;
use crate::fingerprint::sha256_hex;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    der: Vec<u8>,
    public_key: Vec<u8>,
    names: Vec<String>,
    subject: String,
    subject_der: Vec<u8>,
    issuer_der: Vec<u8>,
    key_id: Option<Vec<u8>>,
    issuer_key_id: Option<Vec<u8>>,
    serial: String,
    validity: Validity,
    is_authority: bool,
}

/// A text is not a certificate.
#[derive(Debug, thiserror::Error)]
#[error("not a certificate in PEM form")]
pub struct CertificateError {
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl CertificateFacts {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn parse(pem: &str) -> Result<Self, CertificateError> {
        let failed = |source| CertificateError { source };
        let (_, pem) = parse_x509_pem(pem.as_bytes()).map_err(|e| failed(e.into()))?;
        Self::read(&pem)
    }

    /// Reads all certificates of a PEM text; there may be none.
    ///
    /// # Errors
    ///
    /// When one of them makes no sense.
    pub fn parse_all(pem: &str) -> Result<Vec<Self>, CertificateError> {
        let mut all = Vec::new();
        for pem in Pem::iter_from_buffer(pem.as_bytes()) {
            let pem = pem.map_err(|source| CertificateError {
                source: source.into(),
            })?;
            all.push(Self::read(&pem)?);
        }
        Ok(all)
    }

    fn read(pem: &Pem) -> Result<Self, CertificateError> {
        let failed = |source| CertificateError { source };
        let certificate = pem.parse_x509().map_err(|e| failed(e.into()))?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|e| failed(e.into()))?
            .map(|extension| {
                extension
                    .value
                    .general_names
                    .iter()
                    .filter_map(text)
                    .collect()
            });
        let validity = certificate.validity();
        let (key_id, issuer_key_id) = key_ids(&certificate);
        Ok(Self {
            public_key: certificate.public_key().raw.to_vec(),
            names: names.unwrap_or_default(),
            subject: certificate.subject().to_string(),
            subject_der: certificate.subject().as_raw().to_vec(),
            issuer_der: certificate.issuer().as_raw().to_vec(),
            key_id,
            issuer_key_id,
            serial: certificate.raw_serial_as_string(),
            validity: Validity {
                not_before: validity.not_before.to_datetime(),
                not_after: validity.not_after.to_datetime(),
            },
            is_authority: certificate.is_ca(),
            der: pem.contents.clone(),
        })
    }

    /// Returns its names and addresses.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns whether it has a name, or an address in whatever form that is written.
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        let address = name.parse::<IpAddr>().ok();
        self.names.iter().any(|own| match address {
            Some(address) => own.parse() == Ok(address),
            None => own.eq_ignore_ascii_case(name),
        })
    }

    /// Returns whose it is, such as `O=me, CN=…`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns its serial number, hexadecimal.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Returns from when to when it is good.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Returns when it ends.
    #[must_use]
    pub fn not_after(&self) -> OffsetDateTime {
        self.validity.not_after
    }

    /// Returns whether it may sign others.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.is_authority
    }

    /// Returns its SHA-256, hexadecimal.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        sha256_hex(&self.der)
    }

    /// Returns it as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        crate::pem::encode("CERTIFICATE", &self.der)
    }

    /// Returns whether `authority` has signed it.
    #[must_use]
    pub fn is_signed_by(&self, authority: &Self) -> bool {
        if !self.names_issuer(authority) {
            return false;
        }
        let (Ok((_, authority)), Ok((_, own))) = (
            X509Certificate::from_der(&authority.der),
            X509Certificate::from_der(&self.der),
        ) else {
            return false;
        };
        own.verify_signature(Some(authority.public_key())).is_ok()
    }

    /// Returns whether it says that `authority` has signed it; quicker than looking whether that is
    /// so, and good for deciding what needs a look.
    #[must_use]
    pub fn names_issuer(&self, authority: &Self) -> bool {
        let key_agrees = match (&self.issuer_key_id, &authority.key_id) {
            (Some(named), Some(shown)) => named == shown,
            // docker-machine's certificates name no key.
            _ => true,
        };
        key_agrees && self.issuer_der == authority.subject_der
    }

    pub(crate) fn key_id(&self) -> Option<&[u8]> {
        self.key_id.as_deref()
    }

    pub(crate) fn public_key(&self) -> &[u8] {
        &self.public_key
    }
}

/// Returns the identifiers of the certificate's own key and of its issuer's.
fn key_ids(certificate: &X509Certificate<'_>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let (mut own, mut issuer) = (None, None);
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => own = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                issuer = id.key_identifier.as_ref().map(|id| id.0.to_vec());
            }
            _ => {}
        }
    }
    (own, issuer)
}

fn text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let address = <[u8; 4]>::try_from(*bytes)
                .map(IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "hello",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            CertificateFacts::parse(text).unwrap_err();
        }
        assert_eq!(CertificateFacts::parse_all("").unwrap(), []);
    }
}
