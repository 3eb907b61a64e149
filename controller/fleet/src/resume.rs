//! Going on with machines whose creation was cut off.

use berth_controller_store::{self as store, MachineName, MachineRecord};

use crate::create::Begun;
use crate::journal::DRIVER_IS_DONE;
use crate::{CreateError, Created, Fleet, MachineError, Progress};

/// What [`Fleet::resume`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// The machine is complete now.
    Completed,
    /// It was complete already; nothing was done.
    WasComplete,
}

/// A machine whose creation has begun and not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// The driver's name; empty when even that was not written down.
    pub driver: String,
    /// The steps that were begun, oldest first; none of them may have been done in full.
    pub steps: Vec<String>,
}

impl Fleet {
    /// Returns how far a machine has come whose creation has not ended, or nothing when there is no
    /// such machine or it is complete.
    ///
    /// # Errors
    ///
    /// When its record cannot be read.
    pub fn unfinished(&self, name: &str) -> Result<Option<Unfinished>, MachineError> {
        let record = match self.record(name) {
            Ok(record) => record,
            Err(MachineError::Absent(_)) => return Ok(None),
            // Cut off before there was anything to write down.
            Err(MachineError::Incomplete(_)) => return Ok(Some(Unfinished::default())),
            Err(error) => return Err(error),
        };
        if record.side.progress != store::Progress::Creating {
            return Ok(None);
        }
        Ok(Some(Unfinished {
            driver: record.config.driver_name().to_owned(),
            steps: steps(&record),
        }))
    }

    /// Returns the names of all machines whose creation has begun and not ended, sorted; also of
    /// those that are being created at this moment.
    ///
    /// # Errors
    ///
    /// When the store cannot be read. Machines whose record cannot be read are left out.
    pub fn all_unfinished(&self) -> Result<Vec<String>, store::OpenError> {
        let mut names = self.names()?;
        names.retain(|name| matches!(self.unfinished(name), Ok(Some(_))));
        Ok(names)
    }

    /// Goes on with a machine whose creation was cut off, with what it was told then.
    ///
    /// # Errors
    ///
    /// When there is no such machine, when it was cut off before its flags were on record, or when
    /// a step fails; the same call goes on then.
    pub async fn resume(
        &self,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<Resumed, CreateError> {
        let checked: MachineName = self.record(name)?.name;
        let _lock = self.store.lock_machine(&checked)?;
        // Only what is read under the lock counts.
        let record = self.record(name)?;
        match record.side.progress {
            store::Progress::Ready => return Ok(Resumed::WasComplete),
            store::Progress::Removing => return Err(CreateError::Removing(name.to_owned())),
            store::Progress::Creating => {}
        }
        let (record, machine, _resumed) = self.load_again(record)?;
        self.carry_out(record, machine, progress).await?;
        Ok(Resumed::Completed)
    }

    /// Loads a machine from the record that a cut-off creation has left.
    pub(crate) fn load_again(&self, record: MachineRecord) -> Result<Begun, MachineError> {
        let machine = self.machine(&record)?;
        Ok((record, machine, Created::Resumed))
    }
}

impl Unfinished {
    /// Returns what may exist of the machine, in one phrase.
    #[must_use]
    pub fn summary(&self) -> String {
        if self.steps.is_empty() {
            return "nothing was made yet".to_owned();
        }
        let names: Vec<&str> = self
            .steps
            .iter()
            .map(|step| match step.as_str() {
                DRIVER_IS_DONE => "the agent's installation",
                step => step,
            })
            .collect();
        format!("begun so far: {}", names.join("; "))
    }
}

/// Returns the steps of a record, each once, although every attempt writes them down again.
fn steps(record: &MachineRecord) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    for entry in &record.side.journal {
        if !steps.contains(&entry.step) {
            steps.push(entry.step.clone());
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_exist_is_said_in_one_phrase() {
        let mut unfinished = Unfinished::default();
        assert_eq!(unfinished.summary(), "nothing was made yet");
        unfinished.steps = vec!["disk".to_owned(), DRIVER_IS_DONE.to_owned()];
        assert_eq!(
            unfinished.summary(),
            "begun so far: disk; the agent's installation"
        );
    }
}
