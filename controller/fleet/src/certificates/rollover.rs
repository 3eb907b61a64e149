//! Another authority in place of the present one, without a moment in which somebody is locked out.
//!
//! First the new authority signs and both are trusted: each machine learns of the new one, gets a
//! certificate of it, and then its copy of the client's. A machine that cannot be reached does all
//! of that at the next contact. When every machine has moved, the old authority is retired: taken
//! off the list and, at each machine's next contact, out of its agent.

use berth_controller_pki::{Authority, AuthorityError, CertificateFacts};
use berth_controller_store::{LockError, MachineRecord, OpenError, write_private};
use futures::future::join_all;
use time::OffsetDateTime;

use super::authority::{finish_change, next_key, organisation, trusted_by_machines, under_lock};
use super::due::Due;
use super::files::{read, settle};
use super::register::Register;
use super::{CertificatesError, CredentialsError};
use crate::list::chain;
use crate::{Fleet, Progress};

/// How far a rollover is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloverReport {
    /// Whether this call has made the new authority.
    pub begun: bool,
    /// The new authority's SHA-256, hexadecimal.
    pub authority: String,
    /// Every machine that is looked after here.
    pub machines: Vec<(String, RolloverState)>,
}

/// How far a machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolloverState {
    /// Nothing is left to do.
    Done,
    /// It could not be reached; the next contact does it.
    Waiting(String),
}

/// A rollover cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RolloverError {
    /// The authority or a certificate cannot be made or used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The certificates' lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The machines cannot be listed.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The new authority cannot be made.
    #[error("cannot make a new authority")]
    Authority(#[from] AuthorityError),
    /// There is nothing to finish.
    #[error("no authority is being replaced")]
    NotUnderWay,
    /// Some machines would be locked out.
    #[error("not all machines have moved to the new authority: {}", machines.join(", "))]
    NotMoved {
        /// The machines.
        machines: Vec<String>,
    },
}

impl RolloverError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Credentials(error) => error.hint(),
            Self::NotUnderWay => Some("berth machine rotate-ca begins".to_owned()),
            Self::NotMoved { .. } => Some(
                "start them and give berth machine rotate-ca again; with --force they are moved \
                 through ssh when they are next contacted"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

impl Fleet {
    /// Makes a new authority, unless one is on its way already, and moves all machines to it that
    /// can be reached. The old one stays trusted until [`Fleet::finish_rollover`].
    ///
    /// # Errors
    ///
    /// When the authority cannot be made. A machine that cannot be reached is no error.
    pub async fn rotate_authority(
        &self,
        progress: &dyn Progress,
    ) -> Result<RolloverReport, RolloverError> {
        let begun = self.begin_rollover()?;
        self.move_machines(begun, progress).await
    }

    /// Stops trusting the old authority, everywhere. Machines that have not moved are refused,
    /// unless `force` is given: those are then reached through SSH.
    ///
    /// # Errors
    ///
    /// When there is none, or machines have not moved.
    pub async fn finish_rollover(
        &self,
        force: bool,
        progress: &dyn Progress,
    ) -> Result<RolloverReport, RolloverError> {
        let waiting = self.not_moved()?;
        if !force && !waiting.is_empty() {
            return Err(RolloverError::NotMoved { machines: waiting });
        }
        self.retire_old()?;
        self.move_machines(false, progress).await
    }

    /// Puts a new authority in front of the present one. Each step leaves files that fit together:
    /// the key is the first certificate's, or that of the one after it.
    fn begin_rollover(&self) -> Result<bool, RolloverError> {
        let _lock = self.store.lock_certs()?;
        let (paths, now) = (self.store.certs(), OffsetDateTime::now_utc());
        finish_change(&self.store)?;
        let present = read(&paths.ca)?;
        let mut old = match &present {
            Some(bundle) => CertificateFacts::parse_all(bundle).map_err(CredentialsError::from)?,
            None => Vec::new(),
        };
        let begun = old.len() < 2;
        if begun {
            if present.is_none() {
                old = self.lost_authorities()?;
            }
            let new = Authority::create(&organisation(), now)?;
            write_private(&next_key(&paths), new.key_pem().as_bytes())
                .map_err(CredentialsError::from)?;
            let mut bundle = new.certificate_pem().to_owned();
            bundle.extend(old.iter().map(CertificateFacts::pem));
            settle(&paths.ca, &bundle)?;
            finish_change(&self.store)?;
        }
        under_lock(&self.store, now)?;
        Ok(begun)
    }

    /// Returns what machines trust, when the operator's own file is gone.
    fn lost_authorities(&self) -> Result<Vec<CertificateFacts>, RolloverError> {
        let mut lost: Vec<CertificateFacts> = Vec::new();
        for (_machine, bundle) in trusted_by_machines(&self.store)? {
            for facts in CertificateFacts::parse_all(&bundle).map_err(CredentialsError::from)? {
                if !lost.contains(&facts) {
                    lost.push(facts);
                }
            }
        }
        Ok(lost)
    }

    fn retire_old(&self) -> Result<(), RolloverError> {
        let _lock = self.store.lock_certs()?;
        let paths = self.store.certs();
        finish_change(&self.store)?;
        let bundle = read(&paths.ca)?.unwrap_or_default();
        let bundle = CertificateFacts::parse_all(&bundle).map_err(CredentialsError::from)?;
        let old = bundle.get(1..).unwrap_or_default();
        if old.is_empty() {
            return Err(RolloverError::NotUnderWay);
        }
        let mut register = Register::load(&self.store)?;
        register
            .retired
            .extend(old.iter().map(CertificateFacts::fingerprint));
        // What it has signed is worth nothing from now on.
        let retired = register.retired.clone();
        register
            .clients
            .retain(|client| !retired.contains(&client.issuer));
        register.save(&self.store)?;
        // Takes what is retired out of the list.
        finish_change(&self.store)?;
        Ok(())
    }

    /// Returns the machines that could not be reached once the old authority is gone.
    fn not_moved(&self) -> Result<Vec<String>, RolloverError> {
        let records = self.managed()?;
        let waiting = records
            .into_iter()
            .filter(|record| !self.due(record).is_moved());
        Ok(waiting.map(|record| record.name.to_string()).collect())
    }

    async fn move_machines(
        &self,
        begun: bool,
        progress: &dyn Progress,
    ) -> Result<RolloverReport, RolloverError> {
        let names: Vec<String> = self
            .managed()?
            .iter()
            .map(|record| record.name.to_string())
            .collect();
        let machines = self.settle_all(&names, progress).await;
        let bundle = read(&self.store.certs().ca)?.unwrap_or_default();
        let authority = CertificateFacts::parse(&bundle).map_err(CredentialsError::from)?;
        Ok(RolloverReport {
            begun,
            authority: authority.fingerprint(),
            machines,
        })
    }

    /// Settles what is due on all of these machines at once.
    pub(super) async fn settle_all(
        &self,
        names: &[String],
        progress: &dyn Progress,
    ) -> Vec<(String, RolloverState)> {
        let one = async |name: &String| {
            let state = match self.settle_if_due(name, progress).await {
                Ok(()) => RolloverState::Done,
                Err(error) => RolloverState::Waiting(chain(&error)),
            };
            (name.clone(), state)
        };
        join_all(names.iter().map(one)).await
    }

    async fn settle_if_due(
        &self,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<(), CertificatesError> {
        if !self.due(&self.record(name)?).is_nothing() {
            self.settle_machine(name, None, progress).await?;
        }
        Ok(())
    }

    /// Returns the complete machines whose certificates are looked after here.
    pub(super) fn managed(&self) -> Result<Vec<MachineRecord>, OpenError> {
        let names = self.names()?;
        let records = names.iter().filter_map(|name| self.record(name).ok());
        Ok(records
            .filter(|record| {
                record.side.progress == berth_controller_store::Progress::Ready
                    && record.side.engine == berth_controller_store::Engine::Berth
                    && record.side.stable_name.is_some()
                    && !self.is_foreign(record)
            })
            .collect())
    }

    /// Returns whether a machine trusts nobody that is or was the operator: somebody else has
    /// shared it.
    pub(super) fn is_foreign(&self, record: &MachineRecord) -> bool {
        let paths = self.store.machine(&record.name);
        let Ok(Some(bundle)) = read(&paths.ca) else {
            return false;
        };
        super::Book::load(&self.store).is_some_and(|book| book.is_foreign(&bundle))
    }
}

impl Due {
    /// Returns whether the machine depends on no authority but the one that signs.
    fn is_moved(&self) -> bool {
        !self.introduce && !self.client_copy && self.server.is_none()
    }
}
