//! A journal in memory, which can also play a crash.

use std::sync::Mutex;
use std::sync::PoisonError;

use berth_provisioners_api::{Journal, JournalError};
use serde_json::Value;

/// Remembers what was recorded.
#[derive(Debug, Default)]
pub struct RecordingJournal {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    steps: Vec<(String, Value)>,
    fail_at: Option<usize>,
}

impl RecordingJournal {
    /// Makes the step with this number fail, counted from zero over the journal's whole life.
    pub fn fail_at(&self, number: Option<usize>) {
        self.lock().fail_at = number;
    }

    /// Returns the names of the recorded steps.
    #[must_use]
    pub fn steps(&self) -> Vec<String> {
        self.lock()
            .steps
            .iter()
            .map(|(step, _config)| step.clone())
            .collect()
    }

    /// Returns the configuration that was recorded last.
    #[must_use]
    pub fn last_config(&self) -> Option<Value> {
        self.lock()
            .steps
            .last()
            .map(|(_step, config)| config.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for RecordingJournal {
    fn step(&self, step: &str, config: &Value) -> Result<(), JournalError> {
        let mut state = self.lock();
        let number = state.steps.len();
        // Written down first: a crash comes after the record, before the deed.
        state.steps.push((step.to_owned(), config.clone()));
        if state.fail_at == Some(number) {
            return Err(JournalError {
                machine: "conformance".to_owned(),
                step: step.to_owned(),
                source: "the journal plays a crash".into(),
            });
        }
        Ok(())
    }

    fn say(&self, _message: &str) {}
}
