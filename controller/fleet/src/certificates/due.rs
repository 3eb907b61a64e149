//! What has to be done about a machine's certificates, from files alone: quick enough to be asked
//! whenever the machine is contacted.

use std::fs;

use berth_controller_pki::CertificateFacts;
use berth_controller_store::{Engine, MachinePaths, MachineRecord, Progress, Store};
use time::OffsetDateTime;

use super::register::{Register, Revoked};

/// What is the same for all machines.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    pub(super) register: Register,
    /// The operator's authorities, the one that signs first.
    pub(super) authorities: Vec<CertificateFacts>,
    pub(super) client: String,
    client_facts: CertificateFacts,
    now: OffsetDateTime,
}

/// What has to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// The operator's own client certificate ends soon, or is revoked.
    pub(super) own_client: bool,
    /// The machine's copy of the client certificate is another one.
    pub(super) client_copy: bool,
    /// That copy cannot be used any more.
    pub(super) client_over: bool,
    /// The machine's copy of the authorities is not what it should be.
    pub(super) bundle: bool,
    /// The agent is not known to trust the authority that signs.
    pub(super) introduce: bool,
    /// Authorities that the agent shall not trust any more.
    pub(super) remove: Vec<String>,
    /// Why the agent's certificate has to be replaced.
    pub(super) server: Option<ServerDue>,
    /// What the agent does not yet turn away.
    pub(super) revoke: Vec<Revoked>,
}

/// Why an agent needs another certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerDue {
    /// It has ended.
    Over,
    /// It ends soon.
    Ending,
    /// It is of an authority that does not sign any more.
    Authority,
    /// The machine has a name or address that is not in it.
    Names,
    /// Somebody has asked for it.
    Asked,
}

impl Book {
    /// Reads it; nothing when there is no usable authority, which other steps tell better.
    pub(crate) fn load(store: &Store) -> Option<Self> {
        let paths = store.certs();
        let authorities = CertificateFacts::parse_all(&fs::read_to_string(paths.ca).ok()?).ok()?;
        let client = fs::read_to_string(paths.cert).ok()?;
        let register = Register::load(store).ok()?;
        let kept = authorities
            .into_iter()
            .filter(|facts| !register.retired.contains(&facts.fingerprint()));
        let authorities = kept.collect();
        Some(Self {
            register,
            client_facts: CertificateFacts::parse(&client).ok()?,
            client,
            authorities,
            now: OffsetDateTime::now_utc(),
        })
    }

    /// Returns what has to be done about a machine.
    pub(crate) fn due(&self, record: &MachineRecord, paths: &MachinePaths) -> Due {
        let managed = record.side.engine == Engine::Berth
            && record.side.progress == Progress::Ready
            && record.side.stable_name.is_some();
        let (Some(active), true) = (self.authorities.first(), managed) else {
            return Due::default();
        };
        let Ok(bundle) = fs::read_to_string(&paths.ca) else {
            return Due::default();
        };
        let Ok(copies) = CertificateFacts::parse_all(&bundle) else {
            return Due::default();
        };
        // A machine that somebody else has shared is theirs to look after.
        if !copies.iter().any(|copy| self.is_own(copy)) {
            return Due::default();
        }
        let trusted = CertificateFacts::parse_all(&record.side.trusted.concat());
        let trusted = trusted.unwrap_or_default();
        let mut due = Due {
            bundle: !self.is_bundle(&copies, &trusted),
            introduce: !agent_knows(record, &copies, active),
            remove: self.to_remove(record, &copies),
            server: self.server_due(record, paths, &trusted),
            revoke: self.to_revoke(record),
            ..Due::default()
        };
        self.add_client(&mut due, paths);
        due
    }

    /// Returns whether none of these authorities is or was the operator's.
    pub(super) fn is_foreign(&self, bundle: &str) -> bool {
        let copies = CertificateFacts::parse_all(bundle).unwrap_or_default();
        !copies.is_empty() && !copies.iter().any(|copy| self.is_own(copy))
    }

    /// Returns whether a certificate is or was the operator's authority.
    fn is_own(&self, copy: &CertificateFacts) -> bool {
        self.authorities.contains(copy) || self.register.retired.contains(&copy.fingerprint())
    }

    fn is_bundle(&self, copies: &[CertificateFacts], trusted: &[CertificateFacts]) -> bool {
        let mut wanted = self.authorities.iter().chain(trusted);
        let all = wanted.clone().count();
        copies.len() == all && wanted.all(|facts| copies.contains(facts))
    }

    fn to_remove(&self, record: &MachineRecord, copies: &[CertificateFacts]) -> Vec<String> {
        let retired = &self.register.retired;
        let copies = copies.iter().map(CertificateFacts::fingerprint);
        let known = copies.chain(record.side.authorities.iter().cloned());
        let mut remove: Vec<String> = known.filter(|print| retired.contains(print)).collect();
        remove.sort();
        remove.dedup();
        remove
    }

    fn to_revoke(&self, record: &MachineRecord) -> Vec<Revoked> {
        let told = &record.side.revoked;
        let all = self.register.revoked.iter();
        let others =
            all.filter(|revoked| !(revoked.machine && revoked.name == record.name.as_str()));
        others
            .filter(|revoked| !told.contains(&revoked.fingerprint))
            .cloned()
            .collect()
    }

    fn server_due(
        &self,
        record: &MachineRecord,
        paths: &MachinePaths,
        trusted: &[CertificateFacts],
    ) -> Option<ServerDue> {
        let text = fs::read_to_string(&paths.server).ok()?;
        let facts = CertificateFacts::parse(&text).ok()?;
        // A revoked certificate is replaced when somebody asks for it, not in silence.
        if self.register.is_revoked(&facts.fingerprint())
            || trusted.iter().any(|issuer| facts.names_issuer(issuer))
        {
            return None;
        }
        if facts.validity().is_over(self.now) {
            return Some(ServerDue::Over);
        }
        let active = self.authorities.first()?;
        if !facts.names_issuer(active) {
            return Some(ServerDue::Authority);
        }
        if facts.validity().is_ending(self.now) {
            return Some(ServerDue::Ending);
        }
        let address = record.config.ip_address().map(ToOwned::to_owned);
        let mut names = address.into_iter().chain(record.config.certificate_names());
        let lacks = names.any(|name| !name.is_empty() && !facts.has_name(&name));
        lacks.then_some(ServerDue::Names)
    }

    fn add_client(&self, due: &mut Due, paths: &MachinePaths) {
        let own = &self.client_facts;
        due.own_client = own.validity().is_ending(self.now)
            || self.register.is_revoked(&own.fingerprint())
            || !self.authorities.iter().any(|facts| own.names_issuer(facts));
        let copy = fs::read_to_string(&paths.cert).unwrap_or_default();
        due.client_copy = due.own_client || copy != self.client;
        if due.client_copy {
            due.client_over = CertificateFacts::parse(&copy)
                .is_ok_and(|facts| facts.validity().is_over(self.now));
        }
    }
}

/// Returns whether an agent is known to trust the authority. Of machines that were made before this
/// was noted, the copy of the authorities tells.
fn agent_knows(
    record: &MachineRecord,
    copies: &[CertificateFacts],
    active: &CertificateFacts,
) -> bool {
    if record.side.authorities.is_empty() {
        return copies.contains(active);
    }
    record.side.authorities.contains(&active.fingerprint())
}

impl Due {
    /// Returns whether there is nothing to do.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether the machine cannot be reached by TLS before something is done.
    pub(super) fn is_locked_out(&self) -> bool {
        self.client_over || self.server == Some(ServerDue::Over)
    }
}

impl ServerDue {
    /// Returns what the operator is told.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Over => "the machine's certificate has expired; it gets a new one",
            Self::Ending => "the machine's certificate ends soon; it gets a new one",
            Self::Authority => "the machine gets a certificate of the new authority",
            Self::Names => "the machine's name or address has changed; it gets a new certificate",
            Self::Asked => "the machine gets a new certificate",
        }
    }
}
