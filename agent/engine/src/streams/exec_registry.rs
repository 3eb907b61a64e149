//! What is known of further commands: while they run, and for some time after, so that a client that
//! was cut off still learns how its command ended.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::class::{Classified, ErrorClass};
use crate::id::ContainerId;
use crate::streams::exec::ExecOptions;

/// How long an ended command is remembered, as Docker's.
const REMEMBERED: Duration = Duration::from_secs(300);

/// Ended commands that are remembered at most, however fast they come.
const MOST: usize = 1024;

/// Bytes of an ended command's words that are remembered.
const REMEMBERED_BYTES: usize = 4096;

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
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    states: HashMap<String, ExecState>,
    /// Those that have ended, and when; the oldest first.
    ended: VecDeque<(Instant, String)>,
}

// === impl ExecRegistry ===

impl ExecRegistry {
    /// Notes a command that has started.
    pub(crate) fn started(&self, state: ExecState) {
        let mut known = self.lock();
        known.forget_old();
        known.states.insert(state.id.clone(), state);
    }

    /// Notes the end of a command.
    pub(crate) fn ended(&self, id: &str, exit_code: Option<i32>) {
        let mut known = self.lock();
        let Some(state) = known.states.get_mut(id) else {
            return;
        };
        state.running = false;
        state.pid = 0;
        state.exit_code = exit_code;
        shorten(&mut state.options);
        known.ended.push_back((Instant::now(), id.to_owned()));
        known.forget_old();
    }

    /// Returns what is known of a command.
    pub(crate) fn find(&self, id: &str) -> Result<ExecState, NoSuchExec> {
        let mut known = self.lock();
        known.forget_old();
        let found = known.states.get(id).cloned();
        found.ok_or_else(|| NoSuchExec(id.to_owned()))
    }

    /// Returns the commands that run in a container.
    pub(crate) fn running_in(&self, container: &ContainerId) -> Vec<String> {
        let known = self.lock();
        let mut ids: Vec<String> = known
            .states
            .values()
            .filter(|state| state.running && &state.container == container)
            .map(|state| state.id.clone())
            .collect();
        ids.sort();
        ids
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Every change leaves it of use.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Known ===

impl Known {
    fn forget_old(&mut self) {
        while let Some((at, id)) = self.ended.front() {
            if self.ended.len() <= MOST && at.elapsed() < REMEMBERED {
                return;
            }
            self.states.remove(id);
            self.ended.pop_front();
        }
    }
}

/// Keeps of a command that has ended what is shown of it, and of that no more than is of use: a script can be megabytes
/// long, and there may be many of them.
fn shorten(options: &mut ExecOptions) {
    options.env = Vec::new();
    let mut room = REMEMBERED_BYTES;
    for word in &mut options.command {
        let end = word.floor_char_boundary(room.min(word.len()));
        word.truncate(end);
        word.shrink_to_fit();
        room -= end;
    }
    // Words count as well.
    options.command.truncate(REMEMBERED_BYTES / 16);
    options.command.shrink_to_fit();
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
        assert!(registry.lock().states.len() <= MOST + 2);
    }

    #[test]
    fn long_commands_are_remembered_in_short() {
        let (registry, container) = (ExecRegistry::default(), ContainerId::random());
        let mut long = state("long", &container);
        long.options.env = vec!["A=b".to_owned()];
        long.options.command = vec!["sh".to_owned(), "\u{e9}".repeat(1 << 20)];
        long.options.command.extend(vec![String::new(); 100_000]);
        registry.started(long);
        let running = registry.find("long").expect("known").options;
        assert_eq!(running.command[1].len(), 2 << 20);
        registry.ended("long", Some(0));
        let ended = registry.find("long").expect("known").options;
        assert_eq!(ended.command[0], "sh");
        assert!(ended.command[1].len() <= REMEMBERED_BYTES && ended.command[1].len() > 4000);
        assert!(ended.command.len() < 1000 && ended.env.is_empty());
    }
}
