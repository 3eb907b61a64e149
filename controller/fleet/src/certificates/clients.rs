//! Certificates of clients: the operator's own, and those made for others.

use berth_controller_pki::{
    Authority, CertificateFacts, ClientIdentity, Issued, Validity, key_belongs,
};
use berth_controller_store::{MachineRecord, Store, write_private};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::CredentialsError;
use super::authority::{organisation, under_lock};
use super::files::read;
use super::register::{Client, Register};
use crate::Fleet;

/// The longest that anybody's certificate is good.
const LONGEST_LIFE: time::Duration = time::Duration::days(3650);

/// A certificate for somebody else, with what they need to reach machines.
#[derive(Clone)]
pub struct IssuedClient {
    /// The authorities that machines' certificates are to be judged by, PEM.
    pub ca_pem: String,
    /// The certificate.
    pub certificate_pem: String,
    /// Its private key.
    pub key_pem: Zeroizing<String>,
    /// Its SHA-256, hexadecimal, by which it can be revoked.
    pub fingerprint: String,
}

impl std::fmt::Debug for IssuedClient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("IssuedClient")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// What the holder of a certificate may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientRights {
    /// Everything.
    All,
    /// Look, but change nothing.
    ReadOnly,
}

/// The organisational unit by which agents know who may only look.
const READ_ONLY: &str = "read-only";

impl Fleet {
    /// Makes a certificate with which somebody else reaches all machines, until it ends or is
    /// revoked.
    ///
    /// # Errors
    ///
    /// When the authority cannot be used.
    pub fn issue_client(
        &self,
        name: &str,
        life: std::time::Duration,
        rights: ClientRights,
    ) -> Result<IssuedClient, CredentialsError> {
        let _lock = self.store.lock_certs()?;
        let authority = under_lock(&self.store, OffsetDateTime::now_utc())?;
        issue(&self.store, &authority, name, (life, rights))
    }

    /// Makes a certificate for whoever gets a machine from the operator. It is called `name`, or
    /// something like it that no other certificate is called, so that it can be revoked by that.
    pub(crate) fn issue_guest(
        &self,
        record: &MachineRecord,
        name: &str,
        life: std::time::Duration,
    ) -> Result<Guest, CredentialsError> {
        let _lock = self.store.lock_certs()?;
        // Whoever has no authority has got the machine from somebody else.
        if read(&self.store.certs().ca)?.is_none() {
            return Ok(Guest::Foreign);
        }
        let authority = under_lock(&self.store, OffsetDateTime::now_utc())?;
        if !knows(&self.store, record, &authority)? {
            return Ok(if self.is_foreign(record) {
                Guest::Foreign
            } else {
                Guest::Unsettled
            });
        }
        let register = Register::load(&self.store)?;
        let is_free = |name: &String| register.clients.iter().all(|client| client.name != *name);
        let others = (2_u32..).map(|number| format!("{name}-{number}"));
        let mut names = std::iter::once(name.to_owned()).chain(others);
        let name = names.find(is_free).unwrap_or_else(|| name.to_owned());
        let client = issue(&self.store, &authority, &name, (life, ClientRights::All))?;
        Ok(Guest::Issued { name, client })
    }
}

/// What somebody who gets a machine from the operator can be given.
#[derive(Debug)]
pub(crate) enum Guest {
    /// A certificate of their own.
    Issued {
        /// What it is called.
        name: String,
        /// The certificate.
        client: IssuedClient,
    },
    /// Only what the operator has got from whoever looks after the machine.
    Foreign,
    /// Nothing yet: the machine does not know the authority that signs now.
    Unsettled,
}

/// Returns whether a machine takes what the authority signs now, as far as its files say.
fn knows(
    store: &Store,
    record: &MachineRecord,
    authority: &Authority,
) -> Result<bool, CredentialsError> {
    let issuer = CertificateFacts::parse(authority.certificate_pem())?;
    let paths = store.machine(&record.name);
    let (own, trusted) = (read(&paths.cert)?, read(&paths.ca)?);
    // The operator's copy is replaced once the machine knows who signed the new one.
    let own = own.and_then(|own| CertificateFacts::parse(&own).ok());
    let trusted = trusted.and_then(|trusted| CertificateFacts::parse_all(&trusted).ok());
    Ok(own.is_some_and(|own| own.is_signed_by(&issuer))
        || trusted.is_some_and(|trusted| trusted.contains(&issuer)))
}

/// Signs and notes a certificate, under the lock.
fn issue(
    store: &Store,
    authority: &Authority,
    name: &str,
    (life, rights): (std::time::Duration, ClientRights),
) -> Result<IssuedClient, CredentialsError> {
    let identity = ClientIdentity {
        organisation: name.to_owned(),
        role: match rights {
            ClientRights::All => String::new(),
            ClientRights::ReadOnly => READ_ONLY.to_owned(),
        },
    };
    let life = life.try_into().unwrap_or(LONGEST_LIFE).min(LONGEST_LIFE);
    let validity = Validity::lasting(OffsetDateTime::now_utc(), life);
    let issued = authority.issue_client_for(&identity, validity)?;
    let fingerprint = register(store, authority, name, &issued)?;
    Ok(IssuedClient {
        ca_pem: super::files::require(&store.certs().ca)?,
        certificate_pem: issued.certificate_pem,
        key_pem: issued.key_pem,
        fingerprint,
    })
}

/// Makes sure that the operator has a good certificate of this authority, under the lock.
pub(super) fn own(
    store: &Store,
    authority: &Authority,
    now: OffsetDateTime,
) -> Result<(), CredentialsError> {
    let paths = store.certs();
    if let (Some(certificate), Some(key)) = (read(&paths.cert)?, read(&paths.key)?)
        && is_good(store, authority, &certificate, &key, now)
    {
        return Ok(());
    }
    renew_own(store, authority, now)
}

/// Gives the operator another certificate and key, under the lock.
pub(super) fn renew_own(
    store: &Store,
    authority: &Authority,
    now: OffsetDateTime,
) -> Result<(), CredentialsError> {
    let paths = store.certs();
    let organisation = organisation();
    let issued = authority.issue_client(&organisation, now)?;
    register(store, authority, &organisation, &issued)?;
    // Whoever reads between the two finds a pair that does not fit, and reads again.
    write_private(&paths.key, issued.key_pem.as_bytes())?;
    write_private(&paths.cert, issued.certificate_pem.as_bytes())?;
    Ok(())
}

fn is_good(
    store: &Store,
    authority: &Authority,
    certificate: &str,
    key: &str,
    now: OffsetDateTime,
) -> bool {
    let (Ok(facts), Ok(issuer)) = (
        CertificateFacts::parse(certificate),
        CertificateFacts::parse(authority.certificate_pem()),
    ) else {
        return false;
    };
    let revoked = Register::load(store).is_ok_and(|list| list.is_revoked(&facts.fingerprint()));
    !revoked
        && facts.is_signed_by(&issuer)
        && !facts.validity().is_ending(now)
        && key_belongs(key, certificate)
}

/// Notes a client's certificate before anybody has it; returns its fingerprint.
fn register(
    store: &Store,
    authority: &Authority,
    name: &str,
    issued: &Issued,
) -> Result<String, CredentialsError> {
    let facts = CertificateFacts::parse(&issued.certificate_pem)?;
    let mut register = Register::load(store)?;
    let now = OffsetDateTime::now_utc().unix_timestamp();
    register.clients.retain(|client| client.not_after > now);
    register.clients.push(Client {
        fingerprint: facts.fingerprint(),
        name: name.to_owned(),
        serial: facts.serial().to_owned(),
        not_after: facts.not_after().unix_timestamp(),
        issuer: CertificateFacts::parse(authority.certificate_pem())?.fingerprint(),
    });
    register.save(store)?;
    Ok(facts.fingerprint())
}
