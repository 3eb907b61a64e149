//! All machines at a glance.

use std::time::Duration;

use berth_provisioners_api::MachineState;

use crate::Fleet;

/// What a machine is doing, as far as it could be found out in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// The driver said so.
    Known(MachineState),
    /// Its creation has not ended.
    Creating,
    /// The deadline passed first.
    Timeout,
    /// It could not be found out; the row's error says why.
    Error,
}

/// One machine in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LsRow {
    /// The machine's name.
    pub name: String,
    /// The driver's name; empty when the record cannot be read.
    pub driver: String,
    /// What it is doing.
    pub state: RowState,
    /// The engine's address; empty when it has none.
    pub url: String,
    /// The agent's version, when it answered.
    pub agent_version: Option<String>,
    /// The engine's labels, `key=value`.
    pub labels: Vec<String>,
    /// What went wrong, with its causes, on one line.
    pub error: Option<String>,
    /// How long the machine took to answer.
    pub response_time: Duration,
}

impl Fleet {
    /// Asks all machines at the same time; each has until `deadline` to answer.
    ///
    /// # Errors
    ///
    /// Only when the store cannot be read; a machine's own trouble is in its row.
    pub async fn ls(
        &self,
        deadline: Duration,
    ) -> Result<Vec<LsRow>, berth_controller_store::OpenError> {
        todo!("{deadline:?}")
    }

    /// Asks one machine as [`Fleet::ls`] does.
    pub async fn ls_one(&self, name: &str, deadline: Duration) -> LsRow {
        todo!("{name} {deadline:?}")
    }
}

impl RowState {
    /// Returns the word that docker-machine prints for this state.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Known(state) => state.as_str(),
            Self::Creating => "Creating",
            Self::Timeout => "Timeout",
            Self::Error => "Error",
        }
    }
}
