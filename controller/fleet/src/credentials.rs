//! The operator's authority and the certificates of machines, as files in the store.

use std::fs;
use std::path::{Path, PathBuf};

use berth_controller_pki::{
    Authority, AuthorityError, CertificateFacts, IssueError, ServerIdentity, key_belongs,
};
use berth_controller_provision::TlsFiles;
use berth_controller_store::{LockError, MachineName, Store, WriteError, write_private};
use time::{Duration, OffsetDateTime};

/// A certificate with less time left than this is made again when it is needed.
const RENEW_BEFORE: Duration = Duration::days(30);

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
    /// The authority cannot be made or used.
    #[error("the authority in {} cannot be used", directory.display())]
    Authority {
        /// Where it is.
        directory: PathBuf,
        /// Why.
        #[source]
        source: AuthorityError,
    },
    /// A certificate cannot be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// Returns the authority, making it and the client's certificate when they are missing.
///
/// All processes that come here at once wait for the first: there is one authority.
pub(crate) fn authority(store: &Store) -> Result<Authority, CredentialsError> {
    let _lock = store.lock_certs()?;
    let paths = store.certs();
    let unusable = |source| CredentialsError::Authority {
        directory: paths.directory.clone(),
        source,
    };
    let now = OffsetDateTime::now_utc();
    let organisation = organisation();
    let authority = match (read(&paths.ca)?, read(&paths.ca_key)?) {
        (Some(certificate), Some(key)) => Authority::load(&certificate, &key).map_err(unusable)?,
        (Some(_), None) => return Err(CredentialsError::KeyMissing { path: paths.ca_key }),
        // A key alone is what a first attempt leaves that was cut off: nobody trusts it yet.
        (None, _) => {
            let authority = Authority::create(&organisation, now).map_err(unusable)?;
            write_private(&paths.ca_key, authority.key_pem().as_bytes())?;
            write_private(&paths.ca, authority.certificate_pem().as_bytes())?;
            authority
        }
    };
    let good = match (read(&paths.cert)?, read(&paths.key)?) {
        (Some(certificate), Some(key)) => is_good(&authority, &certificate, &key, &[], now),
        _ => false,
    };
    if !good {
        let issued = authority.issue_client(&organisation, now)?;
        write_private(&paths.key, issued.key_pem.as_bytes())?;
        write_private(&paths.cert, issued.certificate_pem.as_bytes())?;
    }
    Ok(authority)
}

/// Writes a machine's certificates into its directory: copies of the authority's and the client's,
/// and one for its agent with all of `names`, made again only when the one there will not do.
pub(crate) fn machine_files(
    store: &Store,
    name: &MachineName,
    authority: &Authority,
    identity: &ServerIdentity,
) -> Result<TlsFiles, CredentialsError> {
    let (certs, paths) = (store.certs(), store.machine(name));
    for (from, to) in [
        (&certs.ca, &paths.ca),
        (&certs.cert, &paths.cert),
        (&certs.key, &paths.key),
    ] {
        let wanted = require(from)?;
        if read(to)?.as_ref() != Some(&wanted) {
            write_private(to, wanted.as_bytes())?;
        }
    }
    let now = OffsetDateTime::now_utc();
    let names: Vec<&str> = identity
        .names
        .iter()
        .chain([&identity.stable_name])
        .map(String::as_str)
        .collect();
    if let (Some(cert_pem), Some(key_pem)) = (read(&paths.server)?, read(&paths.server_key)?)
        && is_good(authority, &cert_pem, &key_pem, &names, now)
    {
        return Ok(TlsFiles {
            ca_pem: authority.certificate_pem().to_owned(),
            cert_pem,
            key_pem,
        });
    }
    let issued = authority.issue_server(identity, now)?;
    write_private(&paths.server_key, issued.key_pem.as_bytes())?;
    write_private(&paths.server, issued.certificate_pem.as_bytes())?;
    Ok(TlsFiles {
        ca_pem: authority.certificate_pem().to_owned(),
        cert_pem: issued.certificate_pem,
        key_pem: issued.key_pem.to_string(),
    })
}

/// Returns whether a certificate still does: signed by this authority, with its key, long enough
/// to go, with all of `names`.
fn is_good(
    authority: &Authority,
    certificate: &str,
    key: &str,
    names: &[&str],
    now: OffsetDateTime,
) -> bool {
    let Ok(facts) = CertificateFacts::parse(certificate) else {
        return false;
    };
    facts.is_signed_by(authority.certificate_pem())
        && facts.not_after() > now + RENEW_BEFORE
        && names
            .iter()
            .all(|name| facts.names().iter().any(|own| own == name))
        && key_belongs(key, certificate)
}

/// Returns a file's text, or nothing when there is no such file.
fn read(path: &Path) -> Result<Option<String>, CredentialsError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CredentialsError::Unreadable {
            path: path.to_owned(),
            source,
        }),
    }
}

fn require(path: &Path) -> Result<String, CredentialsError> {
    let absent = || std::io::Error::from(std::io::ErrorKind::NotFound);
    read(path)?.ok_or_else(|| CredentialsError::Unreadable {
        path: path.to_owned(),
        source: absent(),
    })
}

/// Returns what people see of a certificate's owner.
fn organisation() -> String {
    std::env::var("USER")
        .ok()
        .filter(|user| !user.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        (root, store)
    }

    #[test]
    fn eight_first_creates_at_once_give_one_authority() {
        let (_root, store) = store();
        thread::scope(|scope| {
            let workers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| authority(&store).unwrap().certificate_pem().to_owned()))
                .collect();
            let seen: Vec<String> = workers.into_iter().map(|w| w.join().unwrap()).collect();
            assert!(seen.iter().all(|certificate| *certificate == seen[0]));
        });
        let paths = store.certs();
        let certificate = fs::read_to_string(paths.cert).unwrap();
        let facts = CertificateFacts::parse(&certificate).unwrap();
        assert!(facts.is_signed_by(&fs::read_to_string(paths.ca).unwrap()));
    }

    #[test]
    fn first_create_that_was_cut_off_between_its_files_is_repaired() {
        let (_root, store) = store();
        authority(&store).unwrap();
        let paths = store.certs();
        fs::remove_file(&paths.ca).unwrap();
        authority(&store).unwrap();
        let certificate = fs::read_to_string(&paths.cert).unwrap();
        let facts = CertificateFacts::parse(&certificate).unwrap();
        assert!(facts.is_signed_by(&fs::read_to_string(&paths.ca).unwrap()));
        fs::remove_file(&paths.ca_key).unwrap();
        assert!(matches!(
            authority(&store),
            Err(CredentialsError::KeyMissing { .. })
        ));
    }

    #[test]
    fn certificate_is_made_again_only_for_new_names() {
        let (_root, store) = store();
        let authority = authority(&store).unwrap();
        let name: MachineName = "demo".parse().unwrap();
        fs::create_dir(store.machine(&name).directory).unwrap();
        let mut identity = ServerIdentity {
            stable_name: "demo.0.berth".to_owned(),
            names: vec!["10.0.0.1".to_owned()],
        };
        let first = machine_files(&store, &name, &authority, &identity).unwrap();
        assert_eq!(
            machine_files(&store, &name, &authority, &identity).unwrap(),
            first
        );
        identity.names = vec!["10.0.0.2".to_owned()];
        let second = machine_files(&store, &name, &authority, &identity).unwrap();
        assert_ne!(second, first);
        // A crash between the two files leaves a key that is not the certificate's.
        fs::write(store.machine(&name).server_key, &first.key_pem).unwrap();
        let third = machine_files(&store, &name, &authority, &identity).unwrap();
        assert!(key_belongs(&third.key_pem, &third.cert_pem));
    }
}
