//! The journal of `create`, kept in the store.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use berth_controller_store::{MachineRecord, StepRecord, Store, WriteError};
use berth_provisioners_api::{Journal, JournalError};
use serde_json::Value;

use crate::Progress;

/// The step after which the driver's part is done and provisioning begins.
pub(crate) const DRIVER_IS_DONE: &str = "provision";

/// Writes a machine's record before each step.
pub(crate) struct StoreJournal<'a> {
    store: &'a Store,
    record: Mutex<MachineRecord>,
    progress: &'a dyn Progress,
}

impl<'a> StoreJournal<'a> {
    pub(crate) fn new(store: &'a Store, record: MachineRecord, progress: &'a dyn Progress) -> Self {
        Self {
            store,
            record: Mutex::new(record),
            progress,
        }
    }

    /// Returns the record as it was written last.
    pub(crate) fn into_record(self) -> MachineRecord {
        self.record
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for StoreJournal<'_> {
    fn step(&self, step: &str, config: &Value) -> Result<(), JournalError> {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.config.set_driver(config.clone());
        note(&mut record, step);
        self.store.save(&record).map_err(|source| JournalError {
            machine: record.name.to_string(),
            step: step.to_owned(),
            source: source.into(),
        })
    }

    fn say(&self, message: &str) {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        self.progress.step(record.name.as_str(), message);
    }
}

/// Adds a step to a record that is not written yet.
pub(crate) fn note(record: &mut MachineRecord, step: &str) {
    let at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    record.side.journal.push(StepRecord {
        step: step.to_owned(),
        at,
    });
}

/// Writes a step of the fleet's own, which changes nothing at the driver's.
pub(crate) fn step(
    store: &Store,
    record: &mut MachineRecord,
    step: &str,
) -> Result<(), WriteError> {
    note(record, step);
    store.save_side(record)
}
