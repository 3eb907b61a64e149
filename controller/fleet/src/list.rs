//! All machines at a glance.

use std::time::Duration;

use berth_controller_client::Agent;
use berth_controller_store::{Engine, MachineRecord};
use berth_provisioners_api::{Machine, MachineState};
use tokio::time::{Instant, timeout};

use crate::agent::Errand;
use crate::many::{self, Shared};
use crate::{AgentError, Fleet, MachineError, Silent};

/// What a machine is doing, as far as it could be found out in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// The driver said so, or the agent by answering.
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

/// What is on record of a machine and helps to choose among many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordFacts {
    /// The driver's name.
    pub driver: String,
    /// The engine's labels, `key=value`.
    pub labels: Vec<String>,
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
        Ok(self.ls_of(self.names()?, deadline).await)
    }

    /// Asks these machines as [`Fleet::ls`] does.
    pub async fn ls_of(&self, names: Vec<String>, deadline: Duration) -> Vec<LsRow> {
        many::each(
            self,
            names,
            async move |fleet: &Self, name: String, shared: &Shared| {
                fleet.ask(&name, deadline, shared).await
            },
        )
        .await
    }

    /// Asks one machine as [`Fleet::ls`] does.
    pub async fn ls_one(&self, name: &str, deadline: Duration) -> LsRow {
        self.ask(name, deadline, &Shared::default()).await
    }

    /// Returns what is on record of a machine, without asking it anything.
    ///
    /// # Errors
    ///
    /// When there is no such machine or its record cannot be read.
    pub fn record_facts(&self, name: &str) -> Result<RecordFacts, MachineError> {
        let record = self.record(name)?;
        Ok(RecordFacts {
            driver: record.config.driver_name().to_owned(),
            labels: record.config.engine().labels,
        })
    }

    async fn ask(&self, name: &str, deadline: Duration, shared: &Shared) -> LsRow {
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
        let errand = Errand::new(shared);
        let asked = timeout(deadline, self.fill(&mut row, &errand)).await;
        let limit = deadline.as_secs_f32();
        match (asked, errand.state()) {
            (Ok(Ok(())), _) => {}
            (Ok(Err(error)), _) => row.error = Some(error),
            (Err(_elapsed), Some(state)) => {
                row.state = RowState::Known(state);
                row.error = Some(format!("agent did not answer within {limit:.1} s"));
            }
            (Err(_elapsed), None) => row.state = RowState::Timeout,
        }
        row.response_time = begin.elapsed();
        row
    }

    /// Fills a row as far as it gets.
    async fn fill(&self, row: &mut LsRow, errand: &Errand<'_>) -> Result<(), String> {
        let record = self.record(&row.name).map_err(|error| chain(&error))?;
        record.config.driver_name().clone_into(&mut row.driver);
        row.labels = record.config.engine().labels;
        row.error = record.config.damage().map(ToOwned::to_owned);
        if record.side.progress == berth_controller_store::Progress::Creating {
            row.state = RowState::Creating;
            return Ok(());
        }
        let machine = self.machine(&record).map_err(|error| chain(&error))?;
        let machine = &*machine;
        // A machine whose state is far away is asked itself: that is one question instead of two,
        // and its answer says that it runs.
        if machine.state_is_at_hand() && !self.tell_state(row, machine, errand).await? {
            return Ok(());
        }
        row.url = machine.engine_url().await.unwrap_or_default();
        let answer = if record.side.engine == Engine::Docker {
            let asked = self.docker_version(&record, machine).await;
            asked.map_err(|error| chain(&error))
        } else {
            self.ask_agent(&record, machine, errand).await
        };
        let Err(why) = answer.map(|version| row.agent_version = Some(version)) else {
            row.state = RowState::Known(MachineState::Running);
            return Ok(());
        };
        match errand.state() {
            Some(state) => row.state = RowState::Known(state),
            None => {
                self.tell_state(row, machine, errand).await?;
            }
        }
        if row.state == RowState::Known(MachineState::Running) {
            return Err(why);
        }
        row.url.clear();
        Ok(())
    }

    /// Asks the driver what the machine does; returns whether it runs.
    async fn tell_state(
        &self,
        row: &mut LsRow,
        machine: &dyn Machine,
        errand: &Errand<'_>,
    ) -> Result<bool, String> {
        let state = machine.state().await.map_err(|error| chain(&error))?;
        errand.learn(state);
        row.state = RowState::Known(state);
        let running = state == MachineState::Running;
        if running {
            let url = machine.engine_url().await;
            row.url = url.map_err(|error| chain(&error))?;
        }
        Ok(running)
    }

    async fn ask_agent(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
        errand: &Errand<'_>,
    ) -> Result<String, String> {
        let connected = if errand.is_settled(&self.store, record) {
            self.connect_on(errand, record, machine, &Silent).await
        } else {
            self.contact(record.clone(), machine, &Silent).await
        };
        let agent = connected.map_err(|error: AgentError| chain(&error))?;
        let answer = agent.version().await;
        let answer = answer.map_err(|status| failed_call(&agent, &status))?;
        Ok(answer.version)
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
    text.split_whitespace().collect::<Vec<_>>().join(" ")
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
