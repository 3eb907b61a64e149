//! What is known of further commands: while they run, and for some time after, so that a client that
//! was cut off still learns how its command ended.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::class::{Classified, ErrorClass};
use crate::id::ContainerId;
use crate::streams::exec::ExecOptions;

/// How long an ended command is remembered, as Docker's.
const REMEMBERED: Duration = Duration::from_secs(300);

/// Ended commands that are remembered at most, however fast they come.
const MOST: usize = 1024;

/// One further command.
#[derive(Clone, Debug)]
pub struct ExecState {
    /// Its identity.
    pub id: String,
    /// The container that it runs in.
    pub container: ContainerId,
    /// What was asked for.
    pub options: ExecOptions,
    /// Its process, as the machine sees it; 0 once it has ended.
    pub pid: i32,
    /// Whether it runs.
    pub running: bool,
    /// How it ended; nothing while it runs, or when nobody saw it.
    pub exit_code: Option<i32>,
}

/// There is no such command.
#[derive(Debug, thiserror::Error)]
#[error("No such exec instance: {0}")]
pub struct NoSuchExec(String);

/// All commands that are known.
#[derive(Debug, Default)]
pub(crate) struct ExecRegistry {
    known: Mutex<HashMap<String, Entry>>,
}

#[derive(Debug)]
struct Entry {
    state: ExecState,
    ended: Option<Instant>,
}

// === impl ExecRegistry ===

impl ExecRegistry {
    /// Notes a command that has started.
    pub(crate) fn started(&self, state: ExecState) {
        let mut known = self.lock();
        forget_old(&mut known);
        known.insert(state.id.clone(), Entry { state, ended: None });
    }

    /// Notes the end of a command.
    pub(crate) fn ended(&self, id: &str, exit_code: Option<i32>) {
        if let Some(entry) = self.lock().get_mut(id) {
            entry.ended = Some(Instant::now());
            entry.state.running = false;
            entry.state.pid = 0;
            entry.state.exit_code = exit_code;
        }
    }

    /// Returns what is known of a command.
    pub(crate) fn find(&self, id: &str) -> Result<ExecState, NoSuchExec> {
        let mut known = self.lock();
        forget_old(&mut known);
        let found = known.get(id).map(|entry| entry.state.clone());
        found.ok_or_else(|| NoSuchExec(id.to_owned()))
    }

    /// Returns the commands that run in a container.
    pub(crate) fn running_in(&self, container: &ContainerId) -> Vec<String> {
        let known = self.lock();
        let own = known.values().map(|entry| &entry.state);
        let mut ids: Vec<String> = own
            .filter(|state| state.running && &state.container == container)
            .map(|state| state.id.clone())
            .collect();
        ids.sort();
        ids
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        // Every change is a plain assignment.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_old(known: &mut HashMap<String, Entry>) {
    known.retain(|_, entry| entry.ended.is_none_or(|at| at.elapsed() < REMEMBERED));
    let mut ended: Vec<(Instant, String)> = known
        .iter()
        .filter_map(|(id, entry)| entry.ended.map(|at| (at, id.clone())))
        .collect();
    if ended.len() <= MOST {
        return;
    }
    ended.sort();
    for (_, id) in &ended[..ended.len() - MOST] {
        known.remove(id);
    }
}

impl Classified for NoSuchExec {
    fn class(&self) -> ErrorClass {
        ErrorClass::NotFound
    }

    fn reason(&self) -> &'static str {
        "exec-not-found"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(id: &str, container: &ContainerId) -> ExecState {
        ExecState {
            id: id.to_owned(),
            container: container.clone(),
            options: ExecOptions::default(),
            pid: 7,
            running: true,
            exit_code: None,
        }
    }

    #[test]
    fn a_command_is_known_after_its_end_but_runs_no_more() {
        let (registry, container) = (ExecRegistry::default(), ContainerId::random());
        registry.started(state("a", &container));
        registry.started(state("b", &container));
        registry.ended("a", Some(3));
        assert_eq!(registry.running_in(&container), ["b"]);
        assert!(registry.running_in(&ContainerId::random()).is_empty());
        let found = registry.find("a").expect("remembered");
        assert_eq!(
            (found.running, found.pid, found.exit_code),
            (false, 0, Some(3))
        );
        registry.find("c").expect_err("forgotten");
    }

    #[test]
    fn a_flood_of_commands_is_not_remembered_for_ever() {
        let (registry, container) = (ExecRegistry::default(), ContainerId::random());
        registry.started(state("running", &container));
        for number in 0..MOST + 10 {
            let id = number.to_string();
            registry.started(state(&id, &container));
            registry.ended(&id, Some(0));
        }
        registry.find("0").expect_err("forgotten");
        registry.find("running").expect("kept");
        assert!(registry.lock().len() <= MOST + 2);
    }
}
