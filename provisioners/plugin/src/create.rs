//! The making of a machine by a plugin, which keeps no journal.
//!
//! Drivers write down what they have made only in their own memory. So it is asked for again and
//! again while `Create` runs, and recorded whenever it has changed: a creation that is cut off in
//! any way leaves at most the last moment's things unknown. A creation that goes on after a cut
//! keeps the machine if it runs, and removes it and begins anew only when it is surely gone or
//! broken.

use std::sync::Arc;
use std::time::Duration;

use berth_provisioners_api::{DriverError, Journal, MachineState};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::error::PluginError;
use crate::gob::Body;
use crate::host::{Session, thread};
use crate::machine::{PAUSE, PluginMachine, state_of};

/// How often a driver is asked what it has made so far.
const NOTE_EVERY: Duration = Duration::from_secs(1);
/// The lines of a plugin that may wait to be shown.
const N_LINES: usize = 64;

/// The step under which the journal keeps what a driver has made.
const STEP: &str = "plugin";

// === impl PluginMachine ===

impl PluginMachine {
    /// Makes the machine, or goes on with one; tells meanwhile what the plugin says.
    pub(crate) async fn make(&self, journal: &dyn Journal) -> Result<(), DriverError> {
        let session = self.session().await?;
        let (say, mut lines) = mpsc::channel(N_LINES);
        session.log.listen(say);
        drop(session);
        let making = self.make_unheard(journal);
        tokio::pin!(making);
        let made = loop {
            tokio::select! {
                made = &mut making => break made,
                Some(line) = lines.recv() => journal.say(&line),
            }
        };
        // What waits in the channel was said before the answer came.
        lines.close();
        while let Some(line) = lines.recv().await {
            journal.say(&line);
        }
        made
    }

    async fn make_unheard(&self, journal: &dyn Journal) -> Result<(), DriverError> {
        let facts = self.record().facts.clone();
        match facts.before {
            Some(_) if facts.untouched => self.call_create(journal).await?,
            Some(before) => self.resume(before, journal).await?,
            // It was complete at an earlier time.
            None => {}
        }
        journal.say("Waiting for machine to be running, this may take a few minutes...");
        self.wait_for(MachineState::Running).await?;
        Ok(self.learn().await?)
    }

    /// Goes on with a creation that was cut off.
    async fn resume(&self, before: Value, journal: &dyn Journal) -> Result<(), DriverError> {
        match self.settled_state(&before).await? {
            MachineState::Running | MachineState::Starting => return Ok(()),
            MachineState::Stopped | MachineState::Saved | MachineState::Paused => {
                return Ok(self.call("Start").await?);
            }
            // Nobody is told that it is stopping before it has stopped.
            MachineState::NotFound | MachineState::Error | MachineState::Stopping => {}
        }
        journal.say("What the earlier attempt has made does not run: removing it");
        if let Err(error) = self.call("Remove").await {
            let made_something = self.record().config != before;
            if made_something || !matches!(error, PluginError::Refused { .. }) {
                return Err(error.into());
            }
        }
        let session = self.session().await?;
        self.record().config = before.clone();
        thread::run(async move { session.set_config(&before).await })
            .await
            .map_err(PluginError::from)??;
        self.call_create(journal).await
    }

    /// Returns the state of a machine whose creation was cut off, once it can be told for sure: a
    /// machine that runs must not be removed because its provider was out of reach.
    async fn settled_state(&self, before: &Value) -> Result<MachineState, DriverError> {
        let deadline = Instant::now() + self.plugin.options.deadlines.settle;
        loop {
            let unclear = match self.int("GetState").await.map(state_of) {
                Ok(Some(state)) if state != MachineState::Stopping => return Ok(state),
                Ok(state) => {
                    let state = state.map_or("in an unknown state", MachineState::as_str);
                    let name = &self.context.name;
                    DriverError::refused(format!("machine {name} is {state}"))
                }
                // Some drivers cannot be asked for what they have not made.
                Err(PluginError::Refused { .. }) if self.record().config == *before => {
                    return Ok(MachineState::NotFound);
                }
                Err(error @ PluginError::Refused { .. }) => error.into(),
                Err(error) => return Err(error.into()),
            };
            if Instant::now() >= deadline {
                return Err(unclear.with_hint(format!(
                    "nothing was changed; try again when the driver can tell the machine's state, \
                     or remove it: berth machine rm {}",
                    self.context.name
                )));
            }
            sleep(PAUSE).await;
        }
    }

    /// Has the driver make the machine; whatever happens, what it has made is in the record.
    async fn call_create(&self, journal: &dyn Journal) -> Result<(), DriverError> {
        let session = self.session().await?;
        let mut begun = self.record().clone();
        begun.facts.untouched = false;
        journal.step(STEP, &begun.to_value())?;
        self.record().facts.untouched = false;
        let made = self.watch_create(session, journal).await;
        self.refresh_if_there().await;
        made
    }

    async fn watch_create(
        &self,
        session: Arc<Session>,
        journal: &dyn Journal,
    ) -> Result<(), DriverError> {
        let creating = Arc::clone(&session);
        let create = thread::run(async move { creating.call("Create", Body::Empty).await });
        let (tell, mut notes) = mpsc::channel(1);
        let notice = thread::run(notice(session, tell));
        tokio::pin!(create, notice);
        loop {
            tokio::select! {
                made = &mut create => {
                    made.map_err(PluginError::from)??;
                    return Ok(());
                }
                Some(config) = notes.recv() => self.keep(config, journal)?,
                // Ends only with the plugin, and then the creation does so, too.
                _ = &mut notice, if !notes.is_closed() => notes.close(),
            }
        }
    }

    /// Records what the driver has made since the last time.
    fn keep(&self, config: Value, journal: &dyn Journal) -> Result<(), DriverError> {
        if self.record().config == config {
            return Ok(());
        }
        self.record().config = config;
        let value = self.record().to_value();
        Ok(journal.step(STEP, &value)?)
    }
}

/// Asks a driver again and again what it has made, until it cannot be asked any more.
async fn notice(session: Arc<Session>, tell: mpsc::Sender<Value>) {
    loop {
        sleep(NOTE_EVERY).await;
        let Some(config) = session.note().await else {
            return;
        };
        if tell.send(config).await.is_err() {
            return;
        }
    }
}
