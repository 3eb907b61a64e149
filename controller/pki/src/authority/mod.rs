//! The authority: made, loaded, signing.

use std::fmt;
use std::net::IpAddr;

use rand::Rng as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber,
};
use time::OffsetDateTime;
use x509_parser::pem::parse_x509_pem;
use zeroize::Zeroizing;

use crate::{CertificateFacts, Validity, pkcs, subject};

/// What an authority's key is for.
const AUTHORITY_USAGES: [KeyUsagePurpose; 3] = [
    KeyUsagePurpose::DigitalSignature,
    KeyUsagePurpose::KeyCertSign,
    KeyUsagePurpose::CrlSign,
];

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

/// Whom a client certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// What people see of its holder, such as their user name.
    pub organisation: String,
    /// What the holder may do (`OU`); empty: everything.
    pub role: String,
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
    /// A signing request makes no sense, or its sender does not have its key.
    #[error("signing request cannot be used")]
    Request(#[source] rcgen::Error),
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
        let key_pem = Zeroizing::new(key.serialize_pem());
        Self::self_signed(organisation, key, key_pem, now)
    }

    /// Makes a new certificate for a key that there is already.
    ///
    /// # Errors
    ///
    /// When the key cannot sign.
    pub fn from_key(
        organisation: &str,
        key_pem: &str,
        now: OffsetDateTime,
    ) -> Result<Self, AuthorityError> {
        let key = pkcs::key_pair(key_pem).map_err(|error| AuthorityError::Key(error.into()))?;
        let key_pem = Zeroizing::new(key_pem.to_owned());
        Self::self_signed(organisation, key, key_pem, now)
    }

    fn self_signed(
        organisation: &str,
        key: KeyPair,
        key_pem: Zeroizing<String>,
        now: OffsetDateTime,
    ) -> Result<Self, AuthorityError> {
        let mut params = parameters(organisation, Validity::of_authority(now));
        // Two authorities of one person must not be taken for each other by what only compares
        // names.
        let id = params.key_identifier(&key);
        let id: String = id
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("berth authority {id}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = AUTHORITY_USAGES.to_vec();
        let certificate = params.self_signed(&key).map_err(AuthorityError::Make)?;
        let issuer = Issuer::new(params, key);
        Ok(Self {
            certificate_pem: certificate.pem(),
            key_pem,
            issuer,
        })
    }

    /// Makes a new certificate for the same authority: the same name and key, so that everything it
    /// has signed stays valid, and a new time.
    ///
    /// # Errors
    ///
    /// When the certificate has something in it that cannot be written again.
    pub fn renewed(&self, now: OffsetDateTime) -> Result<Self, AuthorityError> {
        let unusable =
            |error: Box<dyn std::error::Error + Send + Sync>| AuthorityError::Certificate(error);
        let (_, pem) =
            parse_x509_pem(self.certificate_pem.as_bytes()).map_err(|e| unusable(e.into()))?;
        let old = pem.parse_x509().map_err(|e| unusable(e.into()))?;
        let mut params = parameters("", Validity::of_authority(now));
        params.distinguished_name = subject::of(&old).map_err(|e| unusable(e.into()))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = AUTHORITY_USAGES.to_vec();
        let before = CertificateFacts::parse(&self.certificate_pem)
            .map_err(|error| unusable(error.into()))?;
        if let Some(id) = before.key_id() {
            // What the old certificate has signed names its key by this.
            params.key_identifier_method = KeyIdMethod::PreSpecified(id.to_vec());
        }
        let key = pkcs::key_pair(&self.key_pem).map_err(|e| AuthorityError::Key(e.into()))?;
        let certificate = params.self_signed(&key).map_err(AuthorityError::Make)?;
        Self::load(&certificate.pem(), &self.key_pem)
    }

    /// Loads an authority: the one of the certificates that the key belongs to. docker-machine's
    /// RSA keys are taken too.
    ///
    /// # Errors
    ///
    /// When either text makes no sense, or the key belongs to none of the certificates.
    pub fn load(certificate_pem: &str, key_pem: &str) -> Result<Self, AuthorityError> {
        let unusable =
            |error: Box<dyn std::error::Error + Send + Sync>| AuthorityError::Certificate(error);
        let key = pkcs::key_pair(key_pem).map_err(|error| AuthorityError::Key(error.into()))?;
        let all = CertificateFacts::parse_all(certificate_pem).map_err(|e| unusable(e.into()))?;
        if all.is_empty() {
            CertificateFacts::parse(certificate_pem).map_err(|e| unusable(e.into()))?;
        }
        let public = key.subject_public_key_info();
        let own = all.iter().find(|facts| facts.public_key() == public);
        let own = own.ok_or(AuthorityError::Mismatch)?.pem();
        let issuer = Issuer::from_ca_cert_pem(&own, key).map_err(|e| unusable(e.into()))?;
        Ok(Self {
            certificate_pem: own,
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
        validity: impl Into<Validity>,
    ) -> Result<Issued, IssueError> {
        self.issue(server_parameters(identity, validity.into())?)
    }

    /// Signs a certificate for a machine's agent, which has made the key itself. Only the key of
    /// the request counts, not what else it asks for.
    ///
    /// # Errors
    ///
    /// When the request makes no sense, a name cannot be in a certificate, or signing fails.
    pub fn sign_server(
        &self,
        request_pem: &str,
        identity: &ServerIdentity,
        validity: impl Into<Validity>,
    ) -> Result<String, IssueError> {
        let request =
            CertificateSigningRequestParams::from_pem(request_pem).map_err(IssueError::Request)?;
        self.sign(
            &server_parameters(identity, validity.into())?,
            &request.public_key,
        )
    }

    /// Signs a certificate for the operator.
    ///
    /// # Errors
    ///
    /// When signing fails.
    pub fn issue_client(
        &self,
        organisation: &str,
        validity: impl Into<Validity>,
    ) -> Result<Issued, IssueError> {
        let identity = ClientIdentity {
            organisation: organisation.to_owned(),
            role: String::new(),
        };
        self.issue_client_for(&identity, validity)
    }

    /// Signs a certificate for any client.
    ///
    /// # Errors
    ///
    /// When signing fails.
    pub fn issue_client_for(
        &self,
        identity: &ClientIdentity,
        validity: impl Into<Validity>,
    ) -> Result<Issued, IssueError> {
        let mut params = parameters(&identity.organisation, validity.into());
        if !identity.role.is_empty() {
            params
                .distinguished_name
                .push(DnType::OrganizationalUnitName, identity.role.as_str());
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    fn issue(&self, params: CertificateParams) -> Result<Issued, IssueError> {
        let key = new_key()?;
        Ok(Issued {
            certificate_pem: self.sign(&params, &key)?,
            key_pem: Zeroizing::new(key.serialize_pem()),
        })
    }

    fn sign(
        &self,
        params: &CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<String, IssueError> {
        let mut params = params.clone();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(key, &self.issuer)?.pem())
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

fn server_parameters(
    identity: &ServerIdentity,
    validity: Validity,
) -> Result<CertificateParams, IssueError> {
    let mut params = parameters(&identity.stable_name, validity);
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
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn parameters(organisation: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, organisation);
    params.not_before = validity.not_before;
    params.not_after = validity.not_after;
    params.serial_number = Some(serial());
    params
}

fn serial() -> SerialNumber {
    let mut serial: [u8; 16] = rand::rng().random();
    // Positive, as the standard wants it, and of one length.
    serial[0] = serial[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&serial)
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
mod tests;
