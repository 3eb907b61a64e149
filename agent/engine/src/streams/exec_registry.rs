//! What is known of further commands: while they run, and for some time after, so that a client that
//! was cut off still learns how its command ended.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use berth_agent_runtime::ExecHandle;
use tokio::sync::Notify;

use crate::class::{Classified, ErrorClass};
use crate::id::ContainerId;
use crate::streams::exec::ExecOptions;

/// How long an ended command is remembered, as Docker's.
const REMEMBERED: Duration = Duration::from_secs(300);

/// Commands that do not run which are remembered at most, however fast they come.
const MOST: usize = 1024;

/// Bytes of an ended command's words that are remembered.
const REMEMBERED_BYTES: usize = 4096;

/// Bytes of all commands together that wait for their start.
const WAITING_BYTES: usize = 32 * 1024 * 1024;

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
    /// Whether it has ended; one that was not started yet has not.
    pub has_ended: bool,
}

/// There is no such command.
#[derive(Debug, thiserror::Error)]
#[error("No such exec instance: {0}")]
pub struct NoSuchExec(String);

/// All commands that are known.
#[derive(Debug, Default)]
pub(crate) struct ExecRegistry {
    known: Mutex<Known>,
    ends: Notify,
}

#[derive(Debug, Default)]
struct Known {
    entries: HashMap<String, Entry>,
    /// Those that were created or have ended, and when; the oldest first.
    idle: VecDeque<(Instant, String)>,
    /// Bytes of those that wait for their start.
    waiting_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    state: ExecState,
    /// Since when it waits for its start or is over; nothing while it runs.
    idle_since: Option<Instant>,
    /// Who runs it.
    handle: Option<ExecHandle>,
}

// === impl ExecRegistry ===

impl ExecRegistry {
    /// Notes a command that is to be started.
    pub(crate) fn created(&self, state: ExecState) {
        let mut known = self.lock();
        let (now, id) = (Instant::now(), state.id.clone());
        known.waiting_bytes += size(&state.options);
        known.idle.push_back((now, id.clone()));
        let entry = Entry {
            idle_since: Some(now),
            handle: None,
            state,
        };
        known.entries.insert(id, entry);
        known.forget_old();
    }

    /// Takes a command that waits for its start; nothing when somebody else was quicker.
    pub(crate) fn take_for_start(&self, id: &str) -> Result<Option<ExecState>, NoSuchExec> {
        let mut known = self.lock();
        let no_such = || NoSuchExec(id.to_owned());
        let entry = known.entries.get_mut(id).ok_or_else(no_such)?;
        if entry.state.running || entry.state.has_ended {
            return Ok(None);
        }
        entry.idle_since = None;
        entry.state.running = true;
        let state = entry.state.clone();
        known.waiting_bytes -= size(&state.options);
        Ok(Some(state))
    }

    /// Notes that a command has started.
    pub(crate) fn started(&self, id: &str, pid: i32, handle: ExecHandle) {
        if let Some(entry) = self.lock().entries.get_mut(id) {
            entry.state.pid = pid;
            entry.handle = Some(handle);
        }
    }

    /// Notes the end of a command that was taken for its start.
    pub(crate) fn ended(&self, id: &str, exit_code: Option<i32>) {
        let mut known = self.lock();
        if let Some(entry) = known.entries.get_mut(id) {
            let now = Instant::now();
            entry.idle_since = Some(now);
            entry.handle = None;
            entry.state.running = false;
            entry.state.has_ended = true;
            entry.state.pid = 0;
            entry.state.exit_code = exit_code;
            shorten(&mut entry.state.options);
            known.idle.push_back((now, id.to_owned()));
            known.forget_old();
        }
        drop(known);
        self.ends.notify_waiters();
    }

    /// Waits until a command does not run.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub(crate) async fn wait_for_end(&self, id: &str) {
        loop {
            // Before the look, so that an end after it is noticed.
            let ends = self.ends.notified();
            if !self.runs(id) {
                return;
            }
            ends.await;
        }
    }

    fn runs(&self, id: &str) -> bool {
        let known = self.lock();
        known
            .entries
            .get(id)
            .is_some_and(|entry| entry.state.running)
    }

    /// Returns who runs a command; nothing when it does not run.
    pub(crate) fn handle(&self, id: &str) -> Result<Option<ExecHandle>, NoSuchExec> {
        let known = self.lock();
        let entry = known.entries.get(id);
        let entry = entry.ok_or_else(|| NoSuchExec(id.to_owned()))?;
        Ok(entry.handle.clone())
    }

    /// Returns what is known of a command.
    pub(crate) fn find(&self, id: &str) -> Result<ExecState, NoSuchExec> {
        let mut known = self.lock();
        known.forget_old();
        let found = known.entries.get(id).map(|entry| entry.state.clone());
        found.ok_or_else(|| NoSuchExec(id.to_owned()))
    }

    /// Returns the commands that run in a container.
    pub(crate) fn running_in(&self, container: &ContainerId) -> Vec<String> {
        let known = self.lock();
        let own = known.entries.values().map(|entry| &entry.state);
        let mut ids: Vec<String> = own
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
        while let Some((at, id)) = self.idle.front() {
            let is_full = self.idle.len() > MOST || self.waiting_bytes > WAITING_BYTES;
            if !is_full && at.elapsed() < REMEMBERED {
                return;
            }
            // It may have been started, or have ended, since.
            let entry = self.entries.get(id);
            let entry = entry.filter(|entry| entry.idle_since == Some(*at));
            if let Some(state) = entry.map(|entry| &entry.state) {
                if !state.has_ended {
                    self.waiting_bytes -= size(&state.options);
                }
                self.entries.remove(id);
            }
            self.idle.pop_front();
        }
    }
}

fn size(options: &ExecOptions) -> usize {
    let words = options.command.iter().chain(&options.env);
    words.map(|word| word.len() + size_of::<String>()).sum()
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
            pid: 0,
            running: false,
            exit_code: None,
            has_ended: false,
        }
    }

    fn start(registry: &ExecRegistry, id: &str) -> bool {
        registry.take_for_start(id).expect("known").is_some()
    }

    #[test]
    fn a_command_is_known_after_its_end_but_runs_no_more() {
        let (registry, container) = (ExecRegistry::default(), ContainerId::random());
        for id in ["a", "b"] {
            registry.created(state(id, &container));
            assert!(start(&registry, id));
            assert!(!start(&registry, id), "started twice");
        }
        registry.ended("a", Some(3));
        assert_eq!(registry.running_in(&container), ["b"]);
        assert!(registry.running_in(&ContainerId::random()).is_empty());
        let found = registry.find("a").expect("remembered");
        assert!(found.has_ended && !found.running);
        assert_eq!((found.pid, found.exit_code), (0, Some(3)));
        assert!(!start(&registry, "a"), "started again");
        registry.find("c").expect_err("forgotten");
        registry.take_for_start("c").expect_err("forgotten");
    }

    #[tokio::test]
    async fn an_end_wakes_who_waits_for_it() {
        let (registry, container) = (ExecRegistry::default(), ContainerId::random());
        registry.created(state("a", &container));
        assert!(start(&registry, "a"));
        let mut waiting = std::pin::pin!(registry.wait_for_end("a"));
        let now = futures::poll!(waiting.as_mut());
        assert!(now.is_pending(), "it runs");
        registry.ended("a", Some(0));
        waiting.await;
        registry.wait_for_end("unknown").await;
    }

    #[test]
    fn a_flood_of_commands_is_not_remembered_for_ever() {
        let (registry, container) = (ExecRegistry::default(), ContainerId::random());
        registry.created(state("running", &container));
        assert!(start(&registry, "running"));
        for number in 0..MOST + 10 {
            let id = number.to_string();
            registry.created(state(&id, &container));
            if number % 2 == 0 {
                assert!(start(&registry, &id));
                registry.ended(&id, Some(0));
            }
        }
        registry.find("0").expect_err("forgotten");
        registry.find("running").expect("kept");
        assert!(registry.lock().entries.len() <= MOST + 2);
    }

    #[test]
    fn commands_that_are_never_started_do_not_fill_the_memory() {
        let (registry, container) = (ExecRegistry::default(), ContainerId::random());
        for number in 0..10 {
            let mut long = state(&number.to_string(), &container);
            long.options.command = vec!["x".repeat(WAITING_BYTES / 4)];
            registry.created(long);
        }
        registry.find("0").expect_err("forgotten");
        registry.find("9").expect("the newest");
        assert!(start(&registry, "9"));
        assert!(registry.lock().waiting_bytes <= WAITING_BYTES);
    }

    #[test]
    fn long_commands_are_remembered_in_short() {
        let (registry, container) = (ExecRegistry::default(), ContainerId::random());
        let mut long = state("long", &container);
        long.options.env = vec!["A=b".to_owned()];
        long.options.command = vec!["sh".to_owned(), "\u{e9}".repeat(1 << 20)];
        long.options.command.extend(vec![String::new(); 100_000]);
        registry.created(long);
        assert!(start(&registry, "long"));
        let running = registry.find("long").expect("known").options;
        assert_eq!(running.command[1].len(), 2 << 20);
        registry.ended("long", Some(0));
        let ended = registry.find("long").expect("known").options;
        assert_eq!(ended.command[0], "sh");
        assert!(ended.command[1].len() <= REMEMBERED_BYTES && ended.command[1].len() > 4000);
        assert!(ended.command.len() < 1000 && ended.env.is_empty());
    }
}
