//! The files of one machine: copies of the authorities and of the client's certificate, and the
//! certificate of its agent.

use berth_controller_pki::{Authority, CertificateFacts, ServerIdentity, key_belongs};
use berth_controller_provision::TlsFiles;
use berth_controller_store::{MachinePaths, MachineRecord, Store, write_private};
use time::OffsetDateTime;

use super::CredentialsError;
use super::files::{read, require, settle};
use super::register::Register;

/// What the agent on a host has, as far as it could be read; the key stays there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OnHost {
    /// The authorities that it trusts, PEM.
    pub(crate) ca: String,
    /// Its certificate, PEM.
    pub(crate) cert: String,
}

/// Writes a machine's certificates into its directory: copies of the authorities' and the
/// client's, and one for its agent with all of `identity`'s names, made again only when neither the
/// host nor the store has one that will do.
///
/// The key in the answer is empty when the host has the certificate and, alone, its key.
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
    let ca_pem = agents_bundle(&own, &record.side.trusted, on_host, &register)?;
    copy_client(store, &paths)?;
    settle(&paths.ca, &bundle(&own, &record.side.trusted)?)?;
    note_authorities(record, &ca_pem)?;
    let mut issuers = CertificateFacts::parse_all(&record.side.trusted.concat())?;
    issuers.push(CertificateFacts::parse(authority.certificate_pem())?);
    let is_good = |certificate: &str| {
        CertificateFacts::parse(certificate).is_ok_and(|facts| {
            issuers.iter().any(|issuer| facts.is_signed_by(issuer))
                && !facts.validity().is_ending(OffsetDateTime::now_utc())
                && !register.is_revoked(&facts.fingerprint())
                && has_all(&facts, identity)
        })
    };
    let key = read(&paths.server_key)?.unwrap_or_default();
    let tls = |ca_pem, cert_pem, key_pem| TlsFiles {
        ca_pem,
        cert_pem,
        key_pem,
    };
    if is_good(&on_host.cert) && !key_belongs(&key, &on_host.cert) {
        settle(&paths.server, &on_host.cert)?;
        return Ok(tls(ca_pem, on_host.cert.clone(), String::new()));
    }
    if let Some(cert) = read(&paths.server)?
        && is_good(&cert)
        && key_belongs(&key, &cert)
    {
        return Ok(tls(ca_pem, cert, key));
    }
    let issued = authority.issue_server(identity, OffsetDateTime::now_utc())?;
    write_private(&paths.server_key, issued.key_pem.as_bytes())?;
    write_private(&paths.server, issued.certificate_pem.as_bytes())?;
    Ok(tls(
        ca_pem,
        issued.certificate_pem,
        issued.key_pem.to_string(),
    ))
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
    let mut all = CertificateFacts::parse_all(own)?;
    all.extend(CertificateFacts::parse_all(&trusted.concat())?);
    // What is not PEM on the host is nothing that anybody could be using.
    let others = CertificateFacts::parse_all(&on_host.ca).unwrap_or_default();
    all.extend(others);
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
