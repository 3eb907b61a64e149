//! What is in force: the certificate, the authorities, the revocations, and who is connected.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;

use crate::connections::{Chain, Connections};
use crate::files::{self, FileError, beside};
use crate::material::{self, Material, certificates};
use crate::revocations::Revocations;
use crate::verifier::Verifier;
use crate::{Admission, Fingerprint, MaterialError, NotAdmitted, Revocation, RevocationsError};

/// The list of revocations lies beside the authorities' file.
const REVOCATIONS: &str = "revoked.json";
/// The key of a request that has no certificate yet.
const NEXT: &str = ".next";

/// Where certificates and keys are, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustFiles {
    /// The authorities whose clients are let in, one or more.
    pub ca: PathBuf,
    /// The agent's certificate, with those between it and its authority.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Root on this machine, over the unix socket.
    Local,
    /// The holder of a certificate, who has shown this chain.
    Remote(Chain),
}

/// What a handshake is made with.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Configuration of TLS.
    pub config: Arc<ServerConfig>,
}

/// What is in force, for people and controllers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The agent's certificate and those between it and its authority, PEM.
    pub certificate_pem: String,
    /// The authorities, PEM, one each.
    pub authorities_pem: Vec<String>,
    /// What is turned away.
    pub revoked: Vec<Revocation>,
}

/// Trust cannot be loaded; what was in force stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The files cannot be served with.
    #[error("certificates in {} cannot be used", folder.display())]
    Material {
        /// Where they are.
        folder: PathBuf,
        /// Why.
        #[source]
        source: MaterialError,
    },
    /// The list of revocations cannot be used.
    #[error(transparent)]
    Revocations(#[from] RevocationsError),
    /// No key can be made.
    #[error("cannot make a key")]
    Key(#[source] rcgen::Error),
}

/// Certificates cannot be revoked; none of them is then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// The caller's own is among them.
    #[error("certificate {0} is the caller's own, which would be locked out")]
    Own(Fingerprint),
    /// The list cannot be written.
    #[error(transparent)]
    Revocations(#[from] RevocationsError),
}

/// What is in force.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) material: Material,
    pub(crate) verifier: Arc<Verifier>,
    config: Arc<ServerConfig>,
}

/// Who may speak to the agent, and how it proves who it is.
#[derive(Debug)]
pub struct Trust {
    pub(crate) files: TrustFiles,
    live: RwLock<Arc<Live>>,
    pub(crate) revocations: Arc<Revocations>,
    connections: Connections,
    /// Held by whoever changes files.
    pub(crate) change: Mutex<()>,
}

impl Trust {
    /// Loads what the files say.
    ///
    /// # Errors
    ///
    /// When they cannot be read or do not belong together.
    pub fn open(files: TrustFiles) -> Result<Self, TrustError> {
        let revocations = Arc::new(Revocations::open(files.ca.with_file_name(REVOCATIONS))?);
        let material = load(&files)?;
        let live = Live::new(material, &revocations).map_err(|source| unusable(&files, source))?;
        Ok(Self {
            files,
            live: RwLock::new(Arc::new(live)),
            revocations,
            connections: Connections::default(),
            change: Mutex::default(),
        })
    }

    /// Returns what the next handshake is to be made with.
    #[must_use]
    pub fn gate(&self) -> Gate {
        Gate {
            config: Arc::clone(&self.live().config),
        }
    }

    /// Notes the connection of a client that has come through `gate`.
    ///
    /// # Errors
    ///
    /// When trust in it has ended in between.
    pub fn admit(&self, gate: &Gate, client: Chain) -> Result<Admission, NotAdmitted> {
        // First on the list, then judged: a change either finds it there or is seen here.
        let admission = self.connections.add(client.clone());
        let live = self.live();
        let is_current = Arc::ptr_eq(&live.config, &gate.config);
        let trusted = if is_current {
            !self.is_revoked(&client)
        } else {
            live.verifier.keeps(&client)
        };
        trusted.then_some(admission).ok_or(NotAdmitted)
    }

    /// Reads the files anew; connections of clients that are no longer trusted end.
    ///
    /// # Errors
    ///
    /// When they cannot be used; then everything stays as it was.
    pub fn reload(&self) -> Result<(), TrustError> {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let material = load(&self.files)?;
        let live = Live::new(material, &self.revocations)
            .map_err(|source| unusable(&self.files, source))?;
        self.revocations.reload()?;
        let ended = self.put_in_force(live);
        tracing::info!(ended, "certificates read anew");
        Ok(())
    }

    /// Makes a new key and returns a signing request for it, PEM.
    ///
    /// # Errors
    ///
    /// When the key cannot be made or written.
    pub fn request(&self) -> Result<String, TrustError> {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        // Finishes a change that was cut off, which needs the key that is replaced here.
        load(&self.files)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(TrustError::Key)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key).map_err(TrustError::Key)?;
        let request = request.pem().map_err(TrustError::Key)?;
        files::replace(&self.next_key(), key.serialize_pem().as_bytes())?;
        Ok(request)
    }

    /// Turns certificates away from now on and ends their connections; returns how many.
    ///
    /// # Errors
    ///
    /// When the caller's own is among them, or the list cannot be written.
    pub fn revoke(
        &self,
        certificates: &[(Fingerprint, String)],
        caller: &Caller,
    ) -> Result<usize, RevokeError> {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = caller.fingerprint()
            && certificates.iter().any(|(revoked, _)| *revoked == own)
        {
            return Err(RevokeError::Own(own));
        }
        self.revocations.add(certificates.iter().cloned())?;
        let ended = self
            .connections
            .end_unless(|client| !self.is_revoked(client));
        for (fingerprint, name) in certificates {
            tracing::info!(%fingerprint, name, "certificate revoked");
        }
        Ok(ended)
    }

    /// Returns what is in force.
    #[must_use]
    pub fn describe(&self) -> Description {
        let live = self.live();
        Description {
            certificate_pem: material::to_pem(&live.material.chain),
            authorities_pem: live.material.roots.iter().map(material::one_pem).collect(),
            revoked: self.revocations.all(),
        }
    }

    pub(crate) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn next_key(&self) -> PathBuf {
        beside(&self.files.key, NEXT)
    }

    /// Makes the next handshake use `live`, and ends what it does not trust; returns how many.
    pub(crate) fn put_in_force(&self, live: Live) -> usize {
        let live = Arc::new(live);
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&live);
        self.connections
            .end_unless(|client| live.verifier.keeps(client))
    }

    fn is_revoked(&self, client: &Chain) -> bool {
        let leaf = client.first();
        leaf.is_none_or(|leaf| self.revocations.contains(&Fingerprint::of(leaf)))
    }
}

impl Live {
    pub(crate) fn new(
        material: Material,
        revocations: &Arc<Revocations>,
    ) -> Result<Self, MaterialError> {
        let verifier = material.verifier(revocations)?;
        let config = material.server_config(verifier.clone())?;
        Ok(Self {
            material,
            verifier,
            config,
        })
    }
}

impl Caller {
    /// Returns the fingerprint of the caller's certificate, if it came with one.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match self {
            Self::Local => None,
            Self::Remote(chain) => chain.first().map(|leaf| Fingerprint::of(leaf)),
        }
    }
}

/// Reads the files. A change that was cut off after its certificate was written is finished: then
/// the certificate's key is still the one of the request.
pub(crate) fn load(files: &TrustFiles) -> Result<Material, TrustError> {
    let ca = files::require(&files.ca)?;
    let cert = files::require(&files.cert)?;
    let key = files::require(&files.key)?;
    let found = Material::parse(&ca, &cert, &key);
    if let Err(MaterialError::Mismatch) = &found {
        let next = beside(&files.key, NEXT);
        if let Some(key) = files::read(&next)?
            && let Ok(material) = Material::parse(&ca, &cert, &key)
        {
            files::rename(&next, &files.key)?;
            return Ok(material);
        }
    }
    found.map_err(|source| unusable(files, source))
}

fn unusable(files: &TrustFiles, source: MaterialError) -> TrustError {
    let folder = files.cert.parent().map(PathBuf::from).unwrap_or_default();
    TrustError::Material { folder, source }
}

/// Returns the certificates of a PEM text that a caller sent.
pub(crate) fn parse_sent(pem: &str) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    certificates(pem.as_bytes(), "the certificate that was sent")
}
