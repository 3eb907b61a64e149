//! Changing certificate and authorities while connections are open, all or nothing.

use std::sync::PoisonError;

use rustls_pki_types::CertificateDer;

use crate::files::{self, FileError};
use crate::material::{Material, is_only_expired, parse_key, to_pem};
use crate::trust::{Live, load, parse_sent};
use crate::{Caller, Fingerprint, MaterialError, Trust, TrustError};

/// What is to change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The agent's new certificate, PEM; empty: it stays.
    pub certificate_pem: String,
    /// Authorities to trust from now on, PEM.
    pub add_authorities_pem: Vec<String>,
    /// Authorities not to trust any more.
    pub remove_authorities: Vec<Fingerprint>,
}

/// A change was refused; everything stays as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// What was sent makes no sense.
    #[error("what was sent cannot be used")]
    Sent(#[source] MaterialError),
    /// The certificate is for another key than those that this agent has.
    #[error(
        "the certificate is for a key that this agent does not have (another request may have \
         replaced it: ask for a signing request again)"
    )]
    OtherKey,
    /// None of the authorities that would be trusted vouches for the agent's own certificate.
    #[error("the agent's certificate would not be valid")]
    OwnCertificate(#[source] rustls::Error),
    /// The caller could not come back.
    #[error("the caller's own certificate would not be trusted any more")]
    LocksOut(#[source] rustls::Error),
    /// The files that are there are no good themselves, so that nothing can be built on them.
    #[error("the certificates that are in place must be mended first")]
    Present(#[source] Box<TrustError>),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Trust {
    /// Changes certificate and authorities for all handshakes from now on; returns how many
    /// connections ended because their clients are no longer trusted.
    ///
    /// # Errors
    ///
    /// When what was sent makes no sense or would lock somebody out; then everything stays as it
    /// was.
    pub fn install(&self, change: &Change, caller: &Caller) -> Result<usize, InstallError> {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        // The files, not what is in force: what somebody has changed there meanwhile counts too, and
        // what an earlier change left there when the disk was full must not.
        let before = load(&self.files).map_err(|error| InstallError::Present(error.into()))?;
        let roots = roots(&before, change)?;
        let (material, is_next) = self.material(&before, roots, change)?;
        check_own(&material, change)?;
        let live = Live::new(material, &self.revocations).map_err(InstallError::Sent)?;
        if let Caller::Remote(chain) = caller {
            live.verifier.judge(chain).map_err(InstallError::LocksOut)?;
        }
        self.write(&before, &live.material, is_next)
            .inspect_err(|_error| self.put_back(&before, is_next))?;
        let ended = self.put_in_force(live);
        tracing::info!(
            certificate = !change.certificate_pem.is_empty(),
            added = change.add_authorities_pem.len(),
            removed = change.remove_authorities.len(),
            ended,
            "certificates changed"
        );
        Ok(ended)
    }

    /// Returns what would be in force, and whether its key is the one of the last request.
    fn material(
        &self,
        before: &Material,
        roots: Vec<CertificateDer<'static>>,
        change: &Change,
    ) -> Result<(Material, bool), InstallError> {
        if change.certificate_pem.is_empty() {
            let material = before.with_roots(roots).map_err(InstallError::Sent)?;
            return Ok((material, false));
        }
        let chain = parse_sent(&change.certificate_pem).map_err(InstallError::Sent)?;
        let current = files::require(&self.files.key)?;
        let next = files::read(&self.next_key())?;
        let candidates = next
            .iter()
            .map(|key| (key, true))
            .chain([(&current, false)]);
        for (key, is_next) in candidates {
            let key = parse_key(key).map_err(InstallError::Sent)?;
            match Material::new(roots.clone(), chain.clone(), key) {
                Ok(material) => return Ok((material, is_next)),
                Err(MaterialError::Mismatch) => {}
                Err(error) => return Err(InstallError::Sent(error)),
            }
        }
        Err(InstallError::OtherKey)
    }

    /// Writes what differs, so that a start at any moment finds something that works. Authorities go
    /// last, after a time in which old and new ones are there. The certificate comes before its key:
    /// a start in between finds the key of the request and finishes.
    fn write(&self, before: &Material, after: &Material, is_next: bool) -> Result<(), FileError> {
        let changes_roots = before.roots != after.roots;
        let changes_chain = before.chain != after.chain;
        if changes_roots && changes_chain {
            let both = [before.roots.as_slice(), after.roots.as_slice()].concat();
            files::replace(&self.files.ca, to_pem(&both).as_bytes())?;
        }
        if changes_chain {
            files::replace(&self.files.cert, to_pem(&after.chain).as_bytes())?;
        }
        if is_next {
            files::rename(&self.next_key(), &self.files.key)?;
        }
        if changes_roots {
            files::replace(&self.files.ca, to_pem(&after.roots).as_bytes())?;
        }
        Ok(())
    }

    /// Takes a change back that could not be written to its end. Once the key has changed there is no
    /// way back; what is there then works, with the old authorities beside the new ones.
    fn put_back(&self, before: &Material, is_next: bool) {
        if is_next && !self.next_key().exists() {
            return;
        }
        for (path, certificates) in [
            (&self.files.ca, &before.roots),
            (&self.files.cert, &before.chain),
        ] {
            if let Err(error) = files::replace(path, to_pem(certificates).as_bytes()) {
                tracing::error!(%error, "a change of certificates is half written");
            }
        }
    }
}

/// Returns the authorities after the change, each once, in the order in which they came.
fn roots(before: &Material, change: &Change) -> Result<Vec<CertificateDer<'static>>, InstallError> {
    let mut all = before.roots.clone();
    for pem in &change.add_authorities_pem {
        all.extend(parse_sent(pem).map_err(InstallError::Sent)?);
    }
    let mut roots: Vec<CertificateDer<'static>> = Vec::new();
    for root in all {
        let is_removed = change.remove_authorities.contains(&Fingerprint::of(&root));
        if !is_removed && !roots.contains(&root) {
            roots.push(root);
        }
    }
    Ok(roots)
}

fn check_own(material: &Material, change: &Change) -> Result<(), InstallError> {
    let judged = material.check_chain();
    match judged {
        Ok(()) => Ok(()),
        // One that is in use already and has expired is what the next change is to mend.
        Err(error) if change.certificate_pem.is_empty() && is_only_expired(&error) => Ok(()),
        Err(error) if change.certificate_pem.is_empty() && change.remove_authorities.is_empty() => {
            // Adding an authority makes nothing worse.
            tracing::warn!(%error, "the agent's own certificate is not valid");
            Ok(())
        }
        Err(error) => Err(InstallError::OwnCertificate(error)),
    }
}
