//! Removing machines, complete or not.

use berth_controller_store as store;
use berth_provisioners_api::DriverError;

use crate::fleet::Loaded;
use crate::list::chain;
use crate::{Fleet, MachineError, Progress};

/// A machine could not be removed; what is left is still on record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// The machine cannot be worked with.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Another process works on that machine.
    #[error(transparent)]
    Locked(#[from] store::LockError),
    /// The driver failed.
    #[error("machine {machine:?} could not be removed from driver {driver}")]
    Driver {
        /// The machine.
        machine: String,
        /// The driver.
        driver: String,
        /// Why.
        #[source]
        source: DriverError,
    },
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] store::WriteError),
    /// The machine's directory cannot be removed.
    #[error(transparent)]
    Directory(#[from] store::RemoveError),
}

impl RemoveError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(error) => error.hint(),
            Self::Locked(store::LockError::Busy { .. }) => {
                Some("wait until it has ended, or end it; then remove the machine".to_owned())
            }
            Self::Driver { source, .. } => source.hint().map(ToOwned::to_owned),
            _ => None,
        }
    }
}

impl Fleet {
    /// Removes a machine and its record.
    ///
    /// With `force`, the record is removed even when the driver fails or the record cannot be
    /// read, and a machine that does not exist is no error; what may be left is then said as a
    /// notice.
    ///
    /// # Errors
    ///
    /// When there is no such machine, or something that exists cannot be removed.
    pub async fn remove(
        &self,
        name: &str,
        force: bool,
        progress: &dyn Progress,
    ) -> Result<(), RemoveError> {
        let Some(checked) = name.parse().ok().filter(|name| self.store.exists(name)) else {
            let absent = MachineError::Absent(name.to_owned());
            return if force { Ok(()) } else { Err(absent.into()) };
        };
        let mut lock = self.store.lock_machine(&checked)?;
        match self.load(name) {
            Ok(loaded) => self.remove_from_driver(loaded, force, progress).await?,
            // Cut off before anything was made: there is only the directory.
            Err(MachineError::Incomplete(_)) => {}
            Err(error) if force => {
                progress.notice(
                    name,
                    &format!(
                        "only the record is removed, berth machine orphans finds what is left: {}",
                        chain(&error)
                    ),
                );
            }
            Err(error) => return Err(error.into()),
        }
        self.store.remove(&checked)?;
        lock.retire();
        Ok(())
    }

    async fn remove_from_driver(
        &self,
        Loaded {
            mut record,
            mut machine,
        }: Loaded,
        force: bool,
        progress: &dyn Progress,
    ) -> Result<(), RemoveError> {
        record.side.progress = store::Progress::Removing;
        self.store.save_side(&record)?;
        let removed = machine.remove().await;
        let Err(source) = removed else { return Ok(()) };
        record.config.set_driver(machine.config());
        self.store.save(&record)?;
        if force {
            let text = format!(
                "something may be left, berth machine orphans finds it: {}",
                chain(&source)
            );
            progress.notice(record.name.as_str(), &text);
            return Ok(());
        }
        Err(RemoveError::Driver {
            machine: record.name.to_string(),
            driver: record.config.driver_name().to_owned(),
            source,
        })
    }
}
