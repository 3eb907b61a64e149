//! Private keys in the form that docker-machine writes them.

use rcgen::{KeyPair, PublicKeyData as _};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::CertificateFacts;

/// The algorithm identifier `rsaEncryption` with its empty parameters.
const RSA_ENCRYPTION: [u8; 15] = [
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// A private key cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("not a private key in PEM form")]
    Pem(#[source] rustls_pki_types::pem::Error),
    #[error("a kind of key that cannot sign")]
    Kind(#[source] rcgen::Error),
}

/// Reads a private key: PKCS#8 of any kind, or RSA in PKCS#1 form.
pub(crate) fn key_pair(pem: &str) -> Result<KeyPair, KeyError> {
    match PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(KeyError::Pem)? {
        PrivateKeyDer::Pkcs1(key) => {
            let wrapped = PrivatePkcs8KeyDer::from(wrap(key.secret_pkcs1_der()));
            KeyPair::try_from(&wrapped).map_err(KeyError::Kind)
        }
        other => KeyPair::try_from(&other).map_err(KeyError::Kind),
    }
}

/// Returns whether `key_pem` is the private key of the certificate `certificate_pem`.
#[must_use]
pub fn key_belongs(key_pem: &str, certificate_pem: &str) -> bool {
    let (Ok(key), Ok(facts)) = (key_pair(key_pem), CertificateFacts::parse(certificate_pem)) else {
        return false;
    };
    facts.public_key() == key.subject_public_key_info().as_slice()
}

/// Puts an RSA key into the envelope that PKCS#8 is: version 0, the algorithm, the key.
fn wrap(pkcs1: &[u8]) -> Vec<u8> {
    let mut content = vec![0x02, 0x01, 0x00];
    content.extend(RSA_ENCRYPTION);
    content.extend(element(0x04, pkcs1));
    element(0x30, &content)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    let length = content.len().to_be_bytes();
    let significant = &length[length
        .iter()
        .position(|b| *b != 0)
        .unwrap_or(length.len() - 1)..];
    match significant {
        [short] if *short < 0x80 => bytes.push(*short),
        _ => {
            // At most eight, so the sum fits.
            bytes.push(0x80 | u8::try_from(significant.len()).unwrap_or(8));
            bytes.extend(significant);
        }
    }
    bytes.extend(content);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_their_shortest_form() {
        assert_eq!(element(4, &[7]), [4, 1, 7]);
        assert_eq!(element(4, &[0; 127])[..2], [4, 127]);
        assert_eq!(element(4, &[0; 128])[..3], [4, 0x81, 128]);
        assert_eq!(element(4, &[0; 300])[..4], [4, 0x82, 1, 44]);
        assert_eq!(element(4, &[]), [4, 0]);
    }
}
