//! Removing machines, complete or not.

use berth_provisioners_api::DriverError;

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
    Locked(#[from] berth_controller_store::LockError),
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
    Store(#[from] berth_controller_store::WriteError),
    /// The machine's directory cannot be removed.
    #[error(transparent)]
    Directory(#[from] berth_controller_store::RemoveError),
}

impl RemoveError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(error) => error.hint(),
            Self::Driver { source, .. } => source.hint().map(ToOwned::to_owned),
            _ => None,
        }
    }
}

impl Fleet {
    /// Removes a machine and its record.
    ///
    /// With `force`, the record is removed even when the driver fails or the record cannot be
    /// read; what may be left is then said as a notice.
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
        progress.step(name, if force { "f" } else { "" });
        todo!()
    }
}
