//! The authority: made, loaded, signing.

use std::fmt;
use std::net::IpAddr;

use rand::Rng as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::pkcs;

/// How long the authority is good for; machines are re-made more often than this.
const AUTHORITY_LIFE: Duration = Duration::days(3650);
/// How long a certificate is good for: docker-machine's 1080 days.
const CERTIFICATE_LIFE: Duration = Duration::days(1080);
/// Certificates begin a little in the past, as hosts' clocks differ.
const CLOCK_SKEW: Duration = Duration::minutes(5);

/// The operator's authority, able to sign.
pub struct Authority {
    certificate_pem: String,
    key_pem: Zeroizing<String>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its private key.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key, wiped when dropped.
    pub key_pem: Zeroizing<String>,
}

/// Whom a server certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerIdentity {
    /// The name that never changes, as [`stable_name`] makes it.
    pub stable_name: String,
    /// Names and addresses by which the machine is reached now.
    pub names: Vec<String>,
}

/// The authority cannot be made or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// A key could not be made.
    #[error("cannot make the authority's key")]
    Make(#[source] rcgen::Error),
    /// The private key is of a kind that cannot sign here.
    #[error("private key of the authority cannot be used")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The certificate cannot be read.
    #[error("certificate of the authority cannot be used")]
    Certificate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The two do not belong together.
    #[error("certificate and private key of the authority do not belong together")]
    Mismatch,
}

/// A certificate cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// A name cannot be in a certificate.
    #[error("{name:?} cannot be a name in a certificate")]
    Name {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// Making or signing failed.
    #[error("cannot sign a certificate")]
    Sign(#[from] rcgen::Error),
}

/// Returns a new name for `machine` that no other machine has, whatever it is called: the same
/// host name may be given twice, and a machine that was made again is another one.
#[must_use]
pub fn stable_name(machine: &str) -> String {
    let random: [u8; 8] = rand::rng().random();
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    // A label of a name has at most 63 letters, and a machine's name may be longer.
    let label: String = machine.chars().filter(char::is_ascii).take(40).collect();
    let label = label.trim_matches(['.', '-']).to_ascii_lowercase();
    format!("{label}.{id}.berth")
}

// === impl Authority ===

impl Authority {
    /// Makes a new authority.
    ///
    /// `organisation` is what people see of it, such as their user name.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub fn create(organisation: &str, now: OffsetDateTime) -> Result<Self, AuthorityError> {
        let key = new_key().map_err(AuthorityError::Make)?;
        let mut params = parameters(organisation, now, AUTHORITY_LIFE);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        let certificate = params.self_signed(&key).map_err(AuthorityError::Make)?;
        let key_pem = Zeroizing::new(key.serialize_pem());
        let issuer = Issuer::new(params, key);
        Ok(Self {
            certificate_pem: certificate.pem(),
            key_pem,
            issuer,
        })
    }

    /// Loads an authority; docker-machine's RSA keys are taken too.
    ///
    /// # Errors
    ///
    /// When either text makes no sense, or they do not belong together.
    pub fn load(certificate_pem: &str, key_pem: &str) -> Result<Self, AuthorityError> {
        let key = pkcs::key_pair(key_pem).map_err(|error| AuthorityError::Key(error.into()))?;
        crate::CertificateFacts::parse(certificate_pem)
            .map_err(|error| AuthorityError::Certificate(error.into()))?;
        if !pkcs::key_belongs(key_pem, certificate_pem) {
            return Err(AuthorityError::Mismatch);
        }
        let issuer = Issuer::from_ca_cert_pem(certificate_pem, key)
            .map_err(|error| AuthorityError::Certificate(error.into()))?;
        Ok(Self {
            certificate_pem: certificate_pem.to_owned(),
            key_pem: Zeroizing::new(key_pem.to_owned()),
            issuer,
        })
    }

    /// Returns the authority's certificate.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Returns the authority's private key.
    #[must_use]
    pub fn key_pem(&self) -> &Zeroizing<String> {
        &self.key_pem
    }

    /// Signs a certificate for a machine's agent: its stable name, the given names and addresses,
    /// `localhost` and `127.0.0.1`.
    ///
    /// # Errors
    ///
    /// When a name cannot be in a certificate, or signing fails.
    pub fn issue_server(
        &self,
        identity: &ServerIdentity,
        now: OffsetDateTime,
    ) -> Result<Issued, IssueError> {
        let mut params = parameters(&identity.stable_name, now, CERTIFICATE_LIFE);
        let fixed = [identity.stable_name.as_str(), "localhost", "127.0.0.1"];
        for name in fixed
            .into_iter()
            .chain(identity.names.iter().map(String::as_str))
        {
            let name = subject_name(name)?;
            if !params.subject_alt_names.contains(&name) {
                params.subject_alt_names.push(name);
            }
        }
        self.issue(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Signs a certificate for the operator.
    ///
    /// # Errors
    ///
    /// When signing fails.
    pub fn issue_client(
        &self,
        organisation: &str,
        now: OffsetDateTime,
    ) -> Result<Issued, IssueError> {
        let params = parameters(organisation, now, CERTIFICATE_LIFE);
        self.issue(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Issued, IssueError> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = new_key()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            certificate_pem: certificate.pem(),
            key_pem: Zeroizing::new(key.serialize_pem()),
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Issued").finish_non_exhaustive()
    }
}

fn new_key() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
}

fn parameters(organisation: &str, now: OffsetDateTime, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, organisation);
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + life;
    let mut serial: [u8; 16] = rand::rng().random();
    // Positive, as the standard wants it.
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params
}

fn subject_name(name: &str) -> Result<SanType, IssueError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let text = name.try_into();
    Ok(SanType::DnsName(text.map_err(|source| {
        IssueError::Name {
            name: name.to_owned(),
            source,
        }
    })?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CertificateFacts;

    fn authority() -> Authority {
        Authority::create("me", OffsetDateTime::now_utc()).unwrap()
    }

    fn identity() -> ServerIdentity {
        let names = ["10.0.0.7", "fd00::7", "db.example.org", "127.0.0.1"];
        ServerIdentity {
            stable_name: stable_name("demo"),
            names: names.map(str::to_owned).to_vec(),
        }
    }

    #[test]
    fn server_certificate_has_all_names_once() {
        let identity = identity();
        let issued = authority()
            .issue_server(&identity, OffsetDateTime::now_utc())
            .unwrap();
        let facts = CertificateFacts::parse(&issued.certificate_pem).unwrap();
        let mut names = facts.names().to_vec();
        names.sort();
        let mut expected = identity.names.clone();
        expected.extend([identity.stable_name, "localhost".to_owned()]);
        expected.sort();
        assert_eq!(names, expected);
        assert!(!facts.is_authority());
    }

    #[test]
    fn loaded_authority_signs_like_the_one_that_was_made() {
        let made = authority();
        let loaded = Authority::load(made.certificate_pem(), made.key_pem()).unwrap();
        let issued = loaded
            .issue_client("me", OffsetDateTime::now_utc())
            .unwrap();
        let facts = CertificateFacts::parse(&issued.certificate_pem).unwrap();
        assert!(facts.is_signed_by(made.certificate_pem()));
        assert!(!facts.is_signed_by(authority().certificate_pem()));
    }

    #[test]
    fn key_of_another_authority_is_refused() {
        let error =
            Authority::load(authority().certificate_pem(), authority().key_pem()).unwrap_err();
        assert!(matches!(error, AuthorityError::Mismatch), "{error:?}");
    }

    #[test]
    fn names_that_cannot_be_in_a_certificate_are_named() {
        let identity = ServerIdentity {
            names: vec!["ü".to_owned()],
            ..identity()
        };
        let error = authority()
            .issue_server(&identity, OffsetDateTime::now_utc())
            .unwrap_err();
        assert!(error.to_string().contains('ü'), "{error}");
    }

    #[test]
    fn stable_names_are_host_names_and_differ() {
        let long = "a".repeat(128);
        for machine in ["demo", "runner-1x2y.", long.as_str()] {
            let name = stable_name(machine);
            assert_ne!(name, stable_name(machine));
            assert!(
                name.split('.').all(|label| (1..=63).contains(&label.len())),
                "{name}"
            );
        }
    }

    #[test]
    fn debug_output_has_no_key() {
        let issued = authority()
            .issue_client("me", OffsetDateTime::now_utc())
            .unwrap();
        assert!(!format!("{issued:?}{:?}", authority()).contains("PRIVATE"));
    }
}
