//! Certificates that nobody shall trust any more, although they have not ended.

use berth_controller_pki::CertificateFacts;
use time::OffsetDateTime;

use super::authority::under_lock;
use super::clients::renew_own;
use super::files::{read, require};
use super::register::{Register, Revoked};
use super::{CertificatesError, CredentialsError, RolloverState};
use crate::{Fleet, Progress};

/// Digits of a fingerprint that name a certificate well enough.
const SHORTEST_FINGERPRINT: usize = 8;
/// Digits of a whole one.
const WHOLE_FINGERPRINT: usize = 64;

/// What was revoked, and who knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeReport {
    /// Fingerprint and name of each certificate.
    pub revoked: Vec<(String, String)>,
    /// Whether the operator's own was among them, and was replaced first.
    pub own_replaced: bool,
    /// Every machine that is looked after here.
    pub machines: Vec<RevokeOutcome>,
}

/// What became of a revocation on one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeOutcome {
    /// The machine.
    pub machine: String,
    /// Why its agent does not know of it yet; nothing when it does. It is told at the next contact.
    pub pending: Option<String>,
}

impl Fleet {
    /// Revokes the certificates of a client: `what` is the beginning of a fingerprint, or the
    /// client's name. Agents that can be reached end its connections at once, others when they are
    /// next contacted.
    ///
    /// # Errors
    ///
    /// When no such client is known or the store cannot be written.
    pub async fn revoke_client(
        &self,
        what: &str,
        progress: &dyn Progress,
    ) -> Result<RevokeReport, RevokeError> {
        let (revoked, own_replaced) = self.note_client(what)?;
        self.tell_all(revoked, own_replaced, progress).await
    }

    /// Revokes the certificate of a machine: neither berth nor any agent trusts it any more.
    /// [`Fleet::regenerate_certificates`] gives the machine another one, through SSH.
    ///
    /// # Errors
    ///
    /// When there is no such machine, or it has no certificate on record.
    pub async fn revoke_machine(
        &self,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<RevokeReport, RevokeError> {
        let record = self.record(name).map_err(CertificatesError::from)?;
        let path = self.store.machine(&record.name).server;
        let text = require(&path).map_err(CertificatesError::from)?;
        let facts = CertificateFacts::parse(&text).map_err(CredentialsError::from)?;
        let revoked = Revoked {
            fingerprint: facts.fingerprint(),
            name: name.to_owned(),
            machine: true,
            at: OffsetDateTime::now_utc().unix_timestamp(),
        };
        {
            let _lock = self.store.lock_certs().map_err(CredentialsError::from)?;
            self.note(std::slice::from_ref(&revoked))?;
        }
        self.tell_all(vec![revoked], false, progress).await
    }

    /// Writes down that a client is revoked; a new certificate replaces the operator's own first.
    fn note_client(&self, what: &str) -> Result<(Vec<Revoked>, bool), RevokeError> {
        let _lock = self.store.lock_certs().map_err(CredentialsError::from)?;
        let now = OffsetDateTime::now_utc();
        let authority = under_lock(&self.store, now)?;
        let own = read(&self.store.certs().cert)?.unwrap_or_default();
        let own = CertificateFacts::parse(&own).map_err(CredentialsError::from)?;
        let register = Register::load(&self.store)?;
        let list = matching(&register, &own, what, now.unix_timestamp());
        if list.is_empty() {
            return Err(RevokeError::Unknown(what.to_owned()));
        }
        let own_replaced = list
            .iter()
            .any(|revoked| revoked.fingerprint == own.fingerprint());
        if own_replaced {
            renew_own(&self.store, &authority, now)?;
        }
        self.note(&list)?;
        Ok((list, own_replaced))
    }

    /// Adds to the list, under the lock.
    fn note(&self, list: &[Revoked]) -> Result<(), CredentialsError> {
        let mut register = Register::load(&self.store)?;
        for revoked in list {
            if !register.is_revoked(&revoked.fingerprint) {
                register.revoked.push(revoked.clone());
            }
        }
        register.save(&self.store)
    }

    async fn tell_all(
        &self,
        revoked: Vec<Revoked>,
        own_replaced: bool,
        progress: &dyn Progress,
    ) -> Result<RevokeReport, RevokeError> {
        let managed = self
            .managed()
            .map_err(|error| CredentialsError::Unreadable {
                path: error.path,
                source: error.source,
            })?;
        let is_it = |name: &str| {
            revoked
                .iter()
                .any(|entry| entry.machine && entry.name == name)
        };
        let names: Vec<String> = managed
            .iter()
            .map(|record| record.name.to_string())
            .filter(|name| !is_it(name))
            .collect();
        let told = self.settle_all(&names, progress).await;
        let machines = told.into_iter().map(|(machine, state)| RevokeOutcome {
            machine,
            pending: match state {
                RolloverState::Done => None,
                RolloverState::Waiting(why) => Some(why),
            },
        });
        let revoked = revoked.into_iter();
        Ok(RevokeReport {
            revoked: revoked
                .map(|entry| (entry.fingerprint, entry.name))
                .collect(),
            own_replaced,
            machines: machines.collect(),
        })
    }
}

/// Nothing was revoked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// No certificate is known by that name or fingerprint.
    #[error("no client certificate {0:?} is known")]
    Unknown(String),
    /// The machine's certificate cannot be found.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

impl RevokeError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown(_) => Some(
                "berth machine certs lists them; a certificate that is not listed is revoked by \
                 its whole SHA-256 fingerprint"
                    .to_owned(),
            ),
            Self::Certificates(error) => error.hint(),
            Self::Credentials(error) => error.hint(),
        }
    }
}

/// Returns the certificates that `what` names and that are not revoked yet.
fn matching(register: &Register, own: &CertificateFacts, what: &str, now: i64) -> Vec<Revoked> {
    // `openssl x509 -fingerprint` writes colons and capital letters.
    let digits = what.replace(':', "").to_ascii_lowercase();
    let is_hex = digits.bytes().all(|letter| letter.is_ascii_hexdigit());
    let is_print = is_hex && digits.len() >= SHORTEST_FINGERPRINT;
    let own_entry = (own.fingerprint(), super::authority::organisation());
    let listed = register.clients.iter();
    let listed = listed.map(|client| (client.fingerprint.clone(), client.name.clone()));
    let mut found: Vec<(String, String)> = Vec::new();
    for (print, name) in listed.chain([own_entry]) {
        let fits = name == what || is_print && print.starts_with(&digits);
        if fits && !found.iter().any(|(known, _)| *known == print) {
            found.push((print, name));
        }
    }
    if found.is_empty() && is_print && digits.len() == WHOLE_FINGERPRINT {
        found.push((digits, String::new()));
    }
    let new = found
        .into_iter()
        .filter(|(print, _)| !register.is_revoked(print));
    new.map(|(fingerprint, name)| Revoked {
        fingerprint,
        name,
        machine: false,
        at: now,
    })
    .collect()
}
