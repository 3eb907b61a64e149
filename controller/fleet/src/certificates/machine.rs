//! The files of one machine: copies of the authorities and of the client's certificate, and the
//! certificate of its agent.

use std::path::{Path, PathBuf};

use berth_controller_pki::{Authority, CertificateFacts, ServerIdentity, key_belongs};
use berth_controller_provision::{Present, TlsFiles};
use berth_controller_store::{MachinePaths, MachineRecord, Store, write_private};
use time::OffsetDateTime;

use super::CredentialsError;
use super::files::{read, require, settle};
use super::register::Register;

/// What names end with that never change.
const STABLE: &str = ".berth";

/// What the agent on a host has; the key stays there. All of it is empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OnHost {
    /// The authorities that it trusts, PEM.
    pub(crate) ca: String,
    /// Its certificate, PEM.
    pub(crate) cert: String,
}

impl From<&Present> for OnHost {
    fn from(present: &Present) -> Self {
        Self {
            ca: present.authorities.clone(),
            cert: present.certificate.clone(),
        }
    }
}

/// Returns what a machine's agent shall get: whom it trusts, and a certificate with all of
/// `identity`'s names, made again only when neither the host nor the store has one that will do. One
/// that it has of somebody who shares the machine stays: another would lock them out.
///
/// The key in the answer is empty when the host has the certificate and, alone, its key. Until
/// [`confirm`], what is new lies beside the machine's files: the host may take the agent back.
pub(crate) fn machine_files(
    store: &Store,
    record: &mut MachineRecord,
    authority: &Authority,
    identity: &ServerIdentity,
    on_host: &OnHost,
) -> Result<TlsFiles, CredentialsError> {
    let (paths, certs) = (store.machine(&record.name), store.certs());
    let register = Register::load(store)?;
    let own = require(&certs.ca)?;
    let foreign = foreign_issuer(store, record, on_host)?;
    if let Some(issuer) = &foreign {
        trust(record, issuer)?;
    }
    let ca_pem = agents_bundle(&own, &record.side.trusted, on_host, &register)?;
    copy_client(store, &paths)?;
    // Whichever certificate the host shows in the end, it is one of these.
    let before = read(&paths.ca)?.unwrap_or_default();
    let before = CertificateFacts::parse_all(&before).unwrap_or_default();
    let before: String = before.iter().map(CertificateFacts::pem).collect();
    settle(
        &paths.ca,
        &bundle(&format!("{own}\n{before}"), &record.side.trusted)?,
    )?;
    let tls = |(cert_pem, key_pem): (String, String)| TlsFiles {
        ca_pem: ca_pem.clone(),
        cert_pem,
        key_pem,
    };
    if foreign.is_some() {
        return Ok(tls((on_host.cert.clone(), String::new())));
    }
    let issuer = CertificateFacts::parse(authority.certificate_pem())?;
    let is_good = |certificate: &str| {
        CertificateFacts::parse(certificate).is_ok_and(|facts| {
            facts.is_signed_by(&issuer)
                && !facts.validity().is_ending(OffsetDateTime::now_utc())
                && !register.is_revoked(&facts.fingerprint())
                && has_all(&facts, identity)
        })
    };
    let pairs = pairs(&paths)?;
    if is_good(&on_host.cert) {
        let with_key = pairs.into_iter();
        let mut with_key = with_key.filter(|(_, key)| key_belongs(key, &on_host.cert));
        let key = with_key.next().map(|(_, key)| key).unwrap_or_default();
        return Ok(tls((on_host.cert.clone(), key)));
    }
    let mut usable = pairs
        .into_iter()
        .filter(|(cert, key)| is_good(cert) && key_belongs(key, cert));
    if let Some(pair) = usable.next() {
        return Ok(tls(pair));
    }
    let issued = authority.issue_server(identity, OffsetDateTime::now_utc())?;
    let next = Next::of(&paths);
    write_private(&next.key, issued.key_pem.as_bytes())?;
    write_private(&next.cert, issued.certificate_pem.as_bytes())?;
    Ok(tls((issued.certificate_pem, issued.key_pem.to_string())))
}

/// Writes down what a machine's agent has got, now that it answers and stays.
pub(crate) fn confirm(
    store: &Store,
    record: &mut MachineRecord,
    tls: &TlsFiles,
    identity: &ServerIdentity,
) -> Result<(), CredentialsError> {
    let (paths, own) = (store.machine(&record.name), require(&store.certs().ca)?);
    let facts = CertificateFacts::parse(&tls.cert_pem)?;
    if !tls.key_pem.is_empty() {
        settle(&paths.server_key, &tls.key_pem)?;
    }
    settle(&paths.server, &tls.cert_pem)?;
    settle(&paths.ca, &bundle(&own, &record.side.trusted)?)?;
    Next::of(&paths).forget();
    record.side.certificate_names = if has_all(&facts, identity) {
        identity.names.clone()
    } else {
        facts.names().to_vec()
    };
    note_authorities(record, &tls.ca_pem)
}

/// Returns who has signed the certificate on a host, when it is somebody who shares the machine.
/// Whoever was not known here before has come with the host's own word for it.
pub(crate) fn foreign_issuer(
    store: &Store,
    record: &MachineRecord,
    on_host: &OnHost,
) -> Result<Option<CertificateFacts>, CredentialsError> {
    let Ok(facts) = CertificateFacts::parse(&on_host.cert) else {
        return Ok(None);
    };
    if record.side.trusted.is_empty() {
        return Ok(None);
    }
    let own = CertificateFacts::parse_all(&require(&store.certs().ca)?)?;
    let retired = Register::load(store)?.retired;
    let mut others = CertificateFacts::parse_all(&record.side.trusted.concat())?;
    others.extend(CertificateFacts::parse_all(&on_host.ca).unwrap_or_default());
    others.retain(|other| !own.contains(other) && !retired.contains(&other.fingerprint()));
    Ok(others.into_iter().find(|other| facts.is_signed_by(other)))
}

/// Returns the name in the certificate on a host that never changes: `known` when it is there.
pub(crate) fn shown_name(on_host: &OnHost, known: Option<&str>) -> Option<String> {
    let facts = CertificateFacts::parse(&on_host.cert).ok()?;
    let names = facts.names();
    let same = names.iter().find(|name| Some(name.as_str()) == known);
    same.or_else(|| names.iter().find(|name| name.ends_with(STABLE)))
        .cloned()
}

/// Returns whether the machine's certificate is somebody else's to renew, as far as it is on record:
/// another one would lock out those who know the machine by it.
pub(super) fn is_of_others(
    store: &Store,
    record: &MachineRecord,
) -> Result<bool, CredentialsError> {
    if record.side.trusted.is_empty() {
        return Ok(false);
    }
    // Nothing is on record before the first look at the host.
    let Some(text) = read(&store.machine(&record.name).server)? else {
        return Ok(true);
    };
    let facts = CertificateFacts::parse(&text)?;
    let others = CertificateFacts::parse_all(&record.side.trusted.concat())?;
    Ok(others.iter().any(|other| facts.names_issuer(other)))
}

/// Notes that an authority of somebody else is one that the machine's certificate may be of.
fn trust(record: &mut MachineRecord, issuer: &CertificateFacts) -> Result<(), CredentialsError> {
    let known = CertificateFacts::parse_all(&record.side.trusted.concat())?;
    if !known.contains(issuer) {
        record.side.trusted.push(issuer.pem());
    }
    Ok(())
}

/// A certificate and its key that the agent has not kept yet, as far as is known.
struct Next {
    cert: PathBuf,
    key: PathBuf,
}

impl Next {
    fn of(paths: &MachinePaths) -> Self {
        Self {
            cert: paths.directory.join("next-server.pem"),
            key: paths.directory.join("next-server-key.pem"),
        }
    }

    fn forget(&self) {
        for path in [&self.cert, &self.key] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::debug!(%error, "copy of a machine's certificate not removed");
                }
                _ => {}
            }
        }
    }
}

/// Returns the certificates with keys that the store has for a machine's agent.
fn pairs(paths: &MachinePaths) -> Result<[(String, String); 2], CredentialsError> {
    let text = |path: &Path| read(path).map(Option::unwrap_or_default);
    let next = Next::of(paths);
    Ok([
        (text(&paths.server)?, text(&paths.server_key)?),
        (text(&next.cert)?, text(&next.key)?),
    ])
}

/// Returns whether a certificate has all names of a machine.
pub(super) fn has_all(facts: &CertificateFacts, identity: &ServerIdentity) -> bool {
    let mut names = identity.names.iter().chain([&identity.stable_name]);
    names.all(|name| facts.has_name(name))
}

/// Gives a machine's directory the operator's own client certificate; returns whether it was
/// another one.
pub(super) fn copy_client(store: &Store, paths: &MachinePaths) -> Result<bool, CredentialsError> {
    let certs = store.certs();
    let (cert, key) = (require(&certs.cert)?, require(&certs.key)?);
    let new_key = settle(&paths.key, &key)?;
    Ok(settle(&paths.cert, &cert)? || new_key)
}

/// Returns what a machine's certificate is judged by: the operator's authorities and those of
/// people who share the machine.
pub(super) fn bundle(own: &str, trusted: &[String]) -> Result<String, CredentialsError> {
    let mut all = CertificateFacts::parse_all(own)?;
    all.extend(CertificateFacts::parse_all(&trusted.concat())?);
    Ok(once_each(all))
}

/// Returns whom an agent shall trust: the operator, people who share the machine, and whoever
/// else it trusts already. Those who are not known here may have come later.
fn agents_bundle(
    own: &str,
    trusted: &[String],
    on_host: &OnHost,
    register: &Register,
) -> Result<String, CredentialsError> {
    // What is not PEM on the host is nothing that anybody could be using. Its order stays, so that
    // nothing changes for nothing when two people look after a machine.
    let mut all = CertificateFacts::parse_all(&on_host.ca).unwrap_or_default();
    all.extend(CertificateFacts::parse_all(own)?);
    all.extend(CertificateFacts::parse_all(&trusted.concat())?);
    all.retain(|facts| !register.retired.contains(&facts.fingerprint()));
    Ok(once_each(all))
}

fn once_each(all: Vec<CertificateFacts>) -> String {
    let mut text = String::new();
    let mut seen: Vec<CertificateFacts> = Vec::new();
    for facts in all {
        if !seen.contains(&facts) {
            text.push_str(&facts.pem());
            seen.push(facts);
        }
    }
    text
}

/// Notes which authorities an agent is about to trust.
fn note_authorities(record: &mut MachineRecord, ca_pem: &str) -> Result<(), CredentialsError> {
    let all = CertificateFacts::parse_all(ca_pem)?;
    record.side.authorities = all.iter().map(CertificateFacts::fingerprint).collect();
    Ok(())
}
