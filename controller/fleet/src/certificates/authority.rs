//! The operator's authority, as files in the store: made once, kept good, never replaced in silence.

use std::path::PathBuf;

use berth_controller_pki::{
    Authority, AuthorityError, CertificateError, CertificateFacts, IssueError, key_belongs,
};
use berth_controller_store::{CertPaths, LockError, Store, WriteError, write_private};
use time::OffsetDateTime;

use super::clients;
use super::files::{read, require, settle};
use super::register::Register;

/// The authority or a certificate cannot be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] WriteError),
    /// The certificates' lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file cannot be read.
    #[error("certificate file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The authority's certificate is there without its key, so nothing can be signed.
    #[error("the authority's private key {} is missing", path.display())]
    KeyMissing {
        /// The key's file.
        path: PathBuf,
    },
    /// Machines trust an authority that is not in its place any more.
    #[error(
        "the authority in {} is missing, and a new one would not be trusted by machine {machine:?}",
        directory.display()
    )]
    Lost {
        /// Where it was.
        directory: PathBuf,
        /// A machine that trusts it.
        machine: String,
    },
    /// The authority cannot be made or used.
    #[error("the authority in {} cannot be used", directory.display())]
    Authority {
        /// Where it is.
        directory: PathBuf,
        /// Why.
        #[source]
        source: AuthorityError,
    },
    /// A certificate cannot be read.
    #[error("a certificate in the store cannot be used")]
    Certificate(#[from] CertificateError),
    /// A certificate cannot be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// What is on record beside the certificates makes no sense.
    #[error("record {} cannot be used", path.display())]
    Register {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It was written by a later berth.
    #[error("record {} is from a later version of berth", path.display())]
    Future {
        /// The file.
        path: PathBuf,
    },
}

impl CredentialsError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::KeyMissing { path } => Some(format!(
                "put {} back from a copy, or make a new authority that all machines are moved to: \
                 berth machine rotate-ca",
                path.display()
            )),
            Self::Lost { directory, .. } => Some(format!(
                "put ca.pem and ca-key.pem of {} back from a copy, or make a new authority that \
                 all machines are moved to: berth machine rotate-ca",
                directory.display()
            )),
            Self::Authority { directory, .. } => Some(format!(
                "ca.pem and ca-key.pem of {} must belong together; if the right ones are lost, \
                 move them away and give berth machine rotate-ca",
                directory.display()
            )),
            _ => None,
        }
    }
}

/// Returns the authority, making it and the client's certificate when they are missing, and
/// renewing what ends soon.
///
/// All processes that come here at once wait for the first: there is one authority.
pub(crate) fn authority(store: &Store) -> Result<Authority, CredentialsError> {
    let _lock = store.lock_certs()?;
    under_lock(store, OffsetDateTime::now_utc())
}

/// The same, for whoever holds the lock.
pub(super) fn under_lock(
    store: &Store,
    now: OffsetDateTime,
) -> Result<Authority, CredentialsError> {
    let paths = store.certs();
    finish_change(store)?;
    let unusable = |source| CredentialsError::Authority {
        directory: paths.directory.clone(),
        source,
    };
    let found = match (read(&paths.ca)?, read(&paths.ca_key)?) {
        (Some(certificate), Some(key)) => Authority::load(&certificate, &key).map_err(unusable)?,
        (Some(_), None) => return Err(CredentialsError::KeyMissing { path: paths.ca_key }),
        (None, Some(key)) => from_key(store, &key, now)?,
        (None, None) => {
            nobody_trusts_another(store)?;
            let authority = Authority::create(&organisation(), now).map_err(unusable)?;
            write_private(&paths.ca_key, authority.key_pem().as_bytes())?;
            write_private(&paths.ca, authority.certificate_pem().as_bytes())?;
            authority
        }
    };
    let authority = in_time(store, found, now)?;
    clients::own(store, &authority, now)?;
    Ok(authority)
}

/// Returns where the key of an authority lies that is about to be put in force.
pub(super) fn next_key(paths: &CertPaths) -> PathBuf {
    // Beside the one that it is to replace, so that a rename can do that.
    let name = paths.ca_key.file_name().unwrap_or_default();
    let mut next = std::ffi::OsString::from("next-");
    next.push(name);
    paths.ca_key.with_file_name(next)
}

/// Finishes a change of the authorities that was cut off: a key whose certificate is in its place
/// already, and authorities that are retired but still on the list.
pub(super) fn finish_change(store: &Store) -> Result<(), CredentialsError> {
    let paths = store.certs();
    let Some(bundle) = read(&paths.ca)? else {
        return Ok(());
    };
    let next = next_key(&paths);
    if let Some(key) = read(&next)?
        && key_belongs(&key, &bundle)
    {
        move_file(&next, &paths.ca_key)?;
    }
    let retired = Register::load(store)?.retired;
    let all = CertificateFacts::parse_all(&bundle)?;
    let kept = all
        .iter()
        .filter(|facts| !retired.contains(&facts.fingerprint()));
    let kept: Vec<String> = kept.map(CertificateFacts::pem).collect();
    if !kept.is_empty() && kept.len() < all.len() {
        settle(&paths.ca, &kept.concat())?;
    }
    Ok(())
}

/// Gives a file of the certificates its final name.
pub(super) fn move_file(from: &PathBuf, to: &PathBuf) -> Result<(), CredentialsError> {
    std::fs::rename(from, to).map_err(|source| {
        CredentialsError::Store(WriteError {
            path: to.clone(),
            source,
        })
    })
}

/// Finds the lost certificate of a key: machines have copies of it. When no machine trusts any
/// authority yet, it is made again.
fn from_key(store: &Store, key: &str, now: OffsetDateTime) -> Result<Authority, CredentialsError> {
    let paths = store.certs();
    let unusable = |source| CredentialsError::Authority {
        directory: paths.directory.clone(),
        source,
    };
    for bundle in trusted_by_machines(store)?.map(|(_machine, bundle)| bundle) {
        if let Ok(authority) = Authority::load(&bundle, key) {
            write_private(&paths.ca, authority.certificate_pem().as_bytes())?;
            return Ok(authority);
        }
    }
    nobody_trusts_another(store)?;
    let authority = Authority::from_key(&organisation(), key, now).map_err(unusable)?;
    write_private(&paths.ca, authority.certificate_pem().as_bytes())?;
    Ok(authority)
}

fn nobody_trusts_another(store: &Store) -> Result<(), CredentialsError> {
    match trusted_by_machines(store)?.next() {
        Some((machine, _bundle)) => Err(CredentialsError::Lost {
            directory: store.certs().directory,
            machine,
        }),
        None => Ok(()),
    }
}

/// Returns the machines of this operator with the authorities that they trust. Those that somebody
/// has shared with the operator trust that person's.
pub(super) fn trusted_by_machines(
    store: &Store,
) -> Result<impl Iterator<Item = (String, String)> + use<>, CredentialsError> {
    let names = store.list().map_err(|error| CredentialsError::Unreadable {
        path: error.path,
        source: error.source,
    })?;
    let store = store.clone();
    Ok(names.into_iter().filter_map(move |name| {
        let bundle = read(&store.machine(&name).ca).ok().flatten()?;
        let record = store.load(&name).ok();
        let foreign = record.map(|record| record.side.trusted).unwrap_or_default();
        let foreign = CertificateFacts::parse_all(&foreign.concat()).unwrap_or_default();
        let own = CertificateFacts::parse_all(&bundle).unwrap_or_default();
        let own: String = own
            .iter()
            .filter(|facts| !foreign.contains(facts))
            .map(CertificateFacts::pem)
            .collect();
        (!own.is_empty()).then(|| (name.to_string(), own))
    }))
}

/// Renews an authority that ends soon: the same key and name, so that nothing it has signed
/// changes; machines and copies get the new certificate as they are contacted.
fn in_time(
    store: &Store,
    authority: Authority,
    now: OffsetDateTime,
) -> Result<Authority, CredentialsError> {
    let facts = CertificateFacts::parse(authority.certificate_pem())?;
    if !facts.validity().is_ending_for_authority(now) {
        return Ok(authority);
    }
    let paths = store.certs();
    let renewed = authority
        .renewed(now)
        .map_err(|source| CredentialsError::Authority {
            directory: paths.directory.clone(),
            source,
        })?;
    let others = CertificateFacts::parse_all(&require(&paths.ca)?)?;
    let others = others.iter().filter(|other| **other != facts);
    let bundle: String = std::iter::once(renewed.certificate_pem().to_owned())
        .chain(others.map(CertificateFacts::pem))
        .collect();
    let mut register = Register::load(store)?;
    register.retired.push(facts.fingerprint());
    register.save(store)?;
    settle(&paths.ca, &bundle)?;
    Ok(renewed)
}

/// Returns what people see of a certificate's owner.
pub(super) fn organisation() -> String {
    std::env::var("USER")
        .ok()
        .filter(|user| !user.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}
