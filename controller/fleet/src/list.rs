//! All machines at a glance.

use std::time::Duration;

use berth_controller_client::Agent;
use berth_provisioners_api::MachineState;
use futures::future::join_all;
use tokio::time::{Instant, timeout};

use crate::fleet::Loaded;
use crate::{Fleet, Silent};

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
    /// Rows come in the order of the names.
    ///
    /// # Errors
    ///
    /// Only when the store cannot be read; a machine's own trouble is in its row.
    pub async fn ls(
        &self,
        deadline: Duration,
    ) -> Result<Vec<LsRow>, berth_controller_store::OpenError> {
        let names = self.names()?;
        Ok(join_all(names.iter().map(|name| self.ls_one(name, deadline))).await)
    }

    /// Asks one machine as [`Fleet::ls`] does.
    pub async fn ls_one(&self, name: &str, deadline: Duration) -> LsRow {
        let begin = Instant::now();
        let mut row = LsRow {
            name: name.to_owned(),
            driver: String::new(),
            state: RowState::Error,
            url: String::new(),
            agent_version: None,
            labels: Vec::new(),
            error: None,
            response_time: Duration::ZERO,
        };
        let asked = timeout(deadline, self.fill(&mut row)).await;
        match asked {
            Ok(Ok(())) => {}
            Ok(Err(error)) => row.error = Some(error),
            Err(_elapsed) if matches!(row.state, RowState::Known(_)) => {
                let limit = deadline.as_secs_f32();
                row.error = Some(format!("agent did not answer within {limit:.1} s"));
            }
            Err(_elapsed) => row.state = RowState::Timeout,
        }
        row.response_time = begin.elapsed();
        row
    }

    /// Fills a row as far as it gets.
    async fn fill(&self, row: &mut LsRow) -> Result<(), String> {
        let record = self.record(&row.name).map_err(|error| chain(&error))?;
        record.config.driver_name().clone_into(&mut row.driver);
        row.labels = record.config.engine().labels;
        if record.side.progress == berth_controller_store::Progress::Creating {
            row.state = RowState::Creating;
            return Ok(());
        }
        let Loaded { record, machine } = self.load(&row.name).map_err(|error| chain(&error))?;
        let state = machine.state().await.map_err(|error| chain(&error))?;
        row.state = RowState::Known(state);
        if state != MachineState::Running {
            return Ok(());
        }
        row.url = machine.engine_url().await.map_err(|error| chain(&error))?;
        let agent = self
            .connect_agent(&record, &*machine, &Silent)
            .await
            .map_err(|error| chain(&error))?;
        let answer = agent
            .version()
            .await
            .map_err(|status| failed_call(&agent, &status))?;
        row.agent_version = Some(answer.version);
        Ok(())
    }
}

/// Returns why a call failed: the connection's own fault, or what the agent said.
pub(crate) fn failed_call(agent: &Agent, status: &tonic::Status) -> String {
    agent.fault().unwrap_or_else(|| status.message().to_owned())
}

/// Returns an error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        // Transparent variants repeat their source.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text.replace('\n', " ")
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
