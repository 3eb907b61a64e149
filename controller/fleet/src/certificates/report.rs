//! All certificates of a store, with how long they are still good.

use berth_controller_pki::CertificateFacts;
use berth_controller_store::MachineRecord;
use time::OffsetDateTime;

use super::CredentialsError;
use super::due::{Book, ServerDue};
use super::files::read;
use super::register::Register;
use crate::Fleet;

/// Whose a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateKind {
    /// The operator's authority, or an old one that is still trusted.
    Authority,
    /// A client's.
    Client,
    /// A machine's agent.
    Server,
}

/// How it is with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateStatus {
    /// It is good.
    Good,
    /// It ends soon, and is renewed at the next contact.
    Ending,
    /// It has ended, and is renewed at the next contact.
    Expired,
    /// Nobody trusts it any more.
    Revoked,
    /// It is of an authority that is being replaced.
    Old,
    /// It lacks a name or address of its machine, and is renewed at the next contact.
    Renamed,
    /// It is of somebody else's authority.
    Foreign,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRow {
    /// Whose it is.
    pub kind: CertificateKind,
    /// The machine, or the client's name; empty for authorities.
    pub name: String,
    /// What it says of its holder.
    pub subject: String,
    /// Its names and addresses.
    pub names: Vec<String>,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// Its SHA-256, hexadecimal.
    pub fingerprint: String,
    /// When it ends.
    pub not_after: OffsetDateTime,
    /// The whole days left; below zero, those since its end.
    pub days_left: i64,
    /// How it is with it.
    pub status: CertificateStatus,
    /// What the machine's agent still has to be told: revocations and authorities.
    pub pending: usize,
}

impl Fleet {
    /// Returns all certificates of the store: authorities, clients, machines.
    ///
    /// # Errors
    ///
    /// When the store cannot be read. What of a machine makes no sense is left out.
    pub fn certificates(&self) -> Result<Vec<CertificateRow>, CredentialsError> {
        let now = OffsetDateTime::now_utc();
        let register = Register::load(&self.store)?;
        let paths = self.store.certs();
        let mut rows = Vec::new();
        let bundle = read(&paths.ca)?.unwrap_or_default();
        for (place, facts) in CertificateFacts::parse_all(&bundle)?.iter().enumerate() {
            let mut row = row(CertificateKind::Authority, "", facts, &register, now);
            if facts.validity().is_ending_for_authority(now) {
                row.status = row.status.or(CertificateStatus::Ending);
            }
            if place > 0 {
                row.status = row.status.or(CertificateStatus::Old);
            }
            rows.push(row);
        }
        self.add_clients(&mut rows, &register, now)?;
        let names = self.names().map_err(|error| CredentialsError::Unreadable {
            path: error.path,
            source: error.source,
        })?;
        let book = Book::load(&self.store);
        for record in names.iter().filter_map(|name| self.record(name).ok()) {
            rows.extend(self.machine_row(&record, book.as_ref(), &register, now));
        }
        Ok(rows)
    }

    fn add_clients(
        &self,
        rows: &mut Vec<CertificateRow>,
        register: &Register,
        now: OffsetDateTime,
    ) -> Result<(), CredentialsError> {
        let own = read(&self.store.certs().cert)?.map(|text| CertificateFacts::parse(&text));
        let own = own.transpose()?;
        if let Some(facts) = &own {
            let name = super::authority::organisation();
            let mut row = row(CertificateKind::Client, &name, facts, register, now);
            row.status = row.status.or_if_ending(facts, now);
            rows.push(row);
        }
        let own = own.map(|facts| facts.fingerprint());
        for client in &register.clients {
            if own.as_deref() == Some(&client.fingerprint) {
                continue;
            }
            let Ok(not_after) = OffsetDateTime::from_unix_timestamp(client.not_after) else {
                continue;
            };
            let days_left = (client.not_after - now.unix_timestamp()).div_euclid(86400);
            rows.push(CertificateRow {
                kind: CertificateKind::Client,
                name: client.name.clone(),
                subject: format!("O={}", client.name),
                names: Vec::new(),
                serial: client.serial.clone(),
                fingerprint: client.fingerprint.clone(),
                not_after,
                days_left,
                status: CertificateStatus::of(&client.fingerprint, not_after, register, now),
                pending: 0,
            });
        }
        Ok(())
    }

    fn machine_row(
        &self,
        record: &MachineRecord,
        book: Option<&Book>,
        register: &Register,
        now: OffsetDateTime,
    ) -> Option<CertificateRow> {
        let paths = self.store.machine(&record.name);
        let text = read(&paths.server).ok().flatten()?;
        let facts = CertificateFacts::parse(&text).ok()?;
        let name = record.name.as_str();
        let mut row = row(CertificateKind::Server, name, &facts, register, now);
        if self.is_foreign(record) {
            row.status = row.status.or(CertificateStatus::Foreign);
            return Some(row);
        }
        let due = book.map(|book| book.due(record, &paths))?;
        row.pending = due.revoke.len() + due.remove.len() + usize::from(due.introduce);
        row.status = row.status.or(match due.server {
            Some(ServerDue::Ending) => CertificateStatus::Ending,
            Some(ServerDue::Authority) => CertificateStatus::Old,
            Some(ServerDue::Names) => CertificateStatus::Renamed,
            Some(ServerDue::Over) => CertificateStatus::Expired,
            Some(ServerDue::Asked) | None => CertificateStatus::Good,
        });
        Some(row)
    }
}

impl CertificateStatus {
    /// Returns the word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Ending => "ending",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Old => "old authority",
            Self::Renamed => "renamed",
            Self::Foreign => "foreign",
        }
    }

    fn of(
        fingerprint: &str,
        not_after: OffsetDateTime,
        register: &Register,
        now: OffsetDateTime,
    ) -> Self {
        if register.is_revoked(fingerprint) {
            Self::Revoked
        } else if not_after <= now {
            Self::Expired
        } else {
            Self::Good
        }
    }

    /// Returns the first of the two that is not good.
    fn or(self, other: Self) -> Self {
        if self == Self::Good { other } else { self }
    }

    fn or_if_ending(self, facts: &CertificateFacts, now: OffsetDateTime) -> Self {
        if facts.validity().is_ending(now) {
            self.or(Self::Ending)
        } else {
            self
        }
    }
}

impl CertificateKind {
    /// Returns the word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authority => "authority",
            Self::Client => "client",
            Self::Server => "machine",
        }
    }
}

fn row(
    kind: CertificateKind,
    name: &str,
    facts: &CertificateFacts,
    register: &Register,
    now: OffsetDateTime,
) -> CertificateRow {
    let fingerprint = facts.fingerprint();
    CertificateRow {
        kind,
        name: name.to_owned(),
        subject: facts.subject().to_owned(),
        names: facts.names().to_vec(),
        serial: facts.serial().to_owned(),
        not_after: facts.not_after(),
        days_left: facts.validity().days_left(now),
        status: CertificateStatus::of(&fingerprint, facts.not_after(), register, now),
        fingerprint,
        pending: 0,
    }
}
