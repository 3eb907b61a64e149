//! What is left of machines that the store does not know any more.

use berth_controller_store::{self as store, MachineName, NameError};
use berth_provisioners_api::{DriverError, Orphan};
use futures::future::join_all;

use crate::{Fleet, MachineError, Progress};

/// What is left of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The driver that found it and can remove it.
    pub driver: String,
    /// What the driver found.
    pub orphan: Orphan,
}

/// What was found, and where it was not possible to look.
#[derive(Debug, Default)]
pub struct OrphanReport {
    /// What is left, by driver and machine.
    pub found: Vec<Leftover>,
    /// Drivers that could not look everywhere, and why.
    pub failures: Vec<(String, DriverError)>,
}

/// What is left of a machine could not be removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OrphanError {
    /// It carries a name that no machine of a store can have.
    #[error("leftover has an impossible name")]
    Name(#[from] NameError),
    /// There is a machine of that name again.
    #[error("machine {0:?} is in the store again")]
    Known(String),
    /// Another process works on that machine.
    #[error(transparent)]
    Locked(#[from] store::LockError),
    /// The driver is not one of this berth's.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The driver failed.
    #[error("what is left of machine {machine:?} could not be removed from driver {driver}")]
    Driver {
        /// The machine.
        machine: String,
        /// The driver.
        driver: String,
        /// Why.
        #[source]
        source: DriverError,
    },
}

impl OrphanError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Known(name) => Some(format!("berth machine rm {name} removes all of it")),
            Self::Machine(error) => error.hint(),
            Self::Driver { source, .. } => source.hint().map(ToOwned::to_owned),
            _ => None,
        }
    }
}

impl Fleet {
    /// Asks all drivers, at the same time, what is left of machines that were this store's and that
    /// it does not know any more.
    pub async fn orphans(&self) -> OrphanReport {
        let known = |name: &str| self.exists(name);
        let looked = self.drivers.iter().map(async |driver| {
            let found = driver.orphans(self.store.root(), &known).await;
            (driver.name().to_owned(), found)
        });
        let mut report = OrphanReport::default();
        for (driver, found) in join_all(looked).await {
            match found {
                Ok(orphans) => report
                    .found
                    .extend(orphans.into_iter().map(|orphan| Leftover {
                        driver: driver.clone(),
                        orphan,
                    })),
                Err(error) => report.failures.push((driver, error)),
            }
        }
        report
    }

    /// Removes what is left of a machine, unless there is a machine of that name again.
    ///
    /// # Errors
    ///
    /// When there is one, or something cannot be removed.
    pub async fn remove_orphan(
        &self,
        leftover: &Leftover,
        progress: &dyn Progress,
    ) -> Result<(), OrphanError> {
        let machine = leftover.orphan.machine.as_str();
        let name: MachineName = machine.parse()?;
        // A creation of the same name has to wait, and one that has begun is seen.
        let mut lock = self.store.lock_machine(&name)?;
        if self.store.exists(&name) {
            return Err(OrphanError::Known(machine.to_owned()));
        }
        lock.retire();
        progress.step(machine, "Removing what is left");
        let failed = |source| OrphanError::Driver {
            machine: machine.to_owned(),
            driver: leftover.driver.clone(),
            source,
        };
        let driver = self.driver(&leftover.driver)?;
        let mut rest = driver
            .load(&self.context(&name), leftover.orphan.config.clone())
            .map_err(failed)?;
        rest.remove().await.map_err(failed)
    }
}
