//! What a certificate says.

use std::net::IpAddr;

use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    der: Vec<u8>,
    public_key: Vec<u8>,
    names: Vec<String>,
    not_after: OffsetDateTime,
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
        Ok(Self {
            public_key: certificate.public_key().raw.to_vec(),
            names: names.unwrap_or_default(),
            not_after: certificate.validity().not_after.to_datetime(),
            is_authority: certificate.is_ca(),
            der: pem.contents.clone(),
        })
    }

    /// Returns its names and addresses.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns when it ends.
    #[must_use]
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// Returns whether it may sign others.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.is_authority
    }

    /// Returns whether the certificate `authority_pem` has signed it.
    #[must_use]
    pub fn is_signed_by(&self, authority_pem: &str) -> bool {
        let Ok((_, pem)) = parse_x509_pem(authority_pem.as_bytes()) else {
            return false;
        };
        let (Ok(authority), Ok((_, own))) =
            (pem.parse_x509(), X509Certificate::from_der(&self.der))
        else {
            return false;
        };
        // The issuer's name and the signature's form belong to the check; the signature itself is
        // verified by TLS whenever the certificate is used.
        own.issuer() == authority.subject() && key_identifiers_agree(&own, &authority)
    }

    pub(crate) fn public_key(&self) -> Vec<u8> {
        self.public_key.clone()
    }
}

fn key_identifiers_agree(own: &X509Certificate<'_>, authority: &X509Certificate<'_>) -> bool {
    use x509_parser::extensions::ParsedExtension;
    let named = own
        .extensions()
        .iter()
        .find_map(|e| match e.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.clone(),
            _ => None,
        });
    let shown = authority
        .extensions()
        .iter()
        .find_map(|e| match e.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.clone()),
            _ => None,
        });
    match (named, shown) {
        (Some(named), Some(shown)) => named == shown,
        // docker-machine's certificates name no key.
        _ => true,
    }
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
    }
}
