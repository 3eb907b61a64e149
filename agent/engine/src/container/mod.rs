//! One container in memory: its record, a handle on it while it runs, and what waiters watch.

pub(crate) mod containers;
pub(crate) mod health;
pub(crate) mod names;
pub(crate) mod record;
pub(crate) mod restart;
pub(crate) mod status;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use berth_agent_runtime::{Attachment, Running, TerminalSize};
use tokio::sync::{oneshot, watch};

use crate::container::record::ContainerRecord;
use crate::container::status::{Event, Exit, Phase, Status};
use crate::files::copying::Copying;
use crate::id::ContainerId;

/// A container that exists.
#[derive(Debug)]
pub(crate) struct Container {
    id: ContainerId,
    /// Held while the container is started, cleaned up after or removed: one of these at a time.
    pub(crate) lifecycle: Arc<tokio::sync::Mutex<()>>,
    /// What has the files open while the container runs.
    pub(crate) copying: Copying,
    /// Held while the record is read and written to the database, so that an older one never comes after
    /// a newer one.
    pub(crate) storing: Mutex<()>,
    /// Held while a file that tells it of networks (`/etc/hosts`) is read and written.
    pub(crate) network_files: Mutex<()>,
    inner: Mutex<Inner>,
    observed: watch::Sender<Observed>,
}

/// A container's supervisor does not answer an agent that was started after it. The container counts
/// as running until the supervisor says what became of it.
#[derive(Debug, thiserror::Error)]
#[error("the supervisor of container {0} does not answer; it is asked again until it does")]
pub struct Unreachable(pub ContainerId);

#[derive(Debug)]
struct Inner {
    record: ContainerRecord,
    running: Option<Running>,
    /// Clients that attached before the start.
    waiting: Vec<Waiter>,
    /// How many restart it: its next end is part of that, so that even `--rm` keeps it.
    n_restarting: usize,
    /// Why its removal by itself failed last.
    removal_error: String,
    /// Number of the one who looks after its health; others before it have had their day.
    health_round: u64,
    /// Size that a client gave before the start.
    terminal_size: Option<TerminalSize>,
}

/// A client that attached to a container before it was started.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) stdin: bool,
    pub(crate) attachment: oneshot::Sender<Attachment>,
}

/// What waiters see of a container: counters, so that nobody misses a short run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Observed {
    pub(crate) phase: Phase,
    pub(crate) n_exits: u64,
    pub(crate) exit: Exit,
    pub(crate) removed: bool,
    /// How often its removal by itself has failed.
    pub(crate) n_failed_removals: u64,
}

/// One run of a container, of which somebody waits for the end. The container may run again before the
/// waiter gets to look at it.
#[derive(Debug)]
pub(crate) struct ThisRun {
    observed: watch::Receiver<Observed>,
    n_exits: u64,
}

// === impl ThisRun ===

impl ThisRun {
    /// Waits until there is no process of this run.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub(crate) async fn ended(&mut self) {
        let n_exits = self.n_exits;
        let ended = |o: &Observed| o.n_exits != n_exits || !o.phase.has_process();
        // The sender lives as long as the container does, which is longer than this.
        drop(self.observed.wait_for(ended).await);
    }
}

// === impl Container ===

impl Container {
    pub(crate) fn new(record: ContainerRecord, running: Option<Running>) -> Self {
        let observed = Observed {
            phase: record.status.phase,
            exit: record.status.exit,
            ..Observed::default()
        };
        Self {
            id: record.id.clone(),
            lifecycle: Arc::default(),
            copying: Copying::default(),
            storing: Mutex::new(()),
            network_files: Mutex::new(()),
            inner: Mutex::new(Inner {
                record,
                running,
                waiting: Vec::new(),
                n_restarting: 0,
                removal_error: String::new(),
                health_round: 0,
                terminal_size: None,
            }),
            observed: watch::Sender::new(observed),
        }
    }

    pub(crate) fn id(&self) -> &ContainerId {
        &self.id
    }

    pub(crate) fn record(&self) -> ContainerRecord {
        self.lock().record.clone()
    }

    /// Looks at the record without copying it.
    pub(crate) fn with_record<T>(&self, look: impl FnOnce(&ContainerRecord) -> T) -> T {
        look(&self.lock().record)
    }

    /// Changes the record in memory, other than its status.
    pub(crate) fn change_record(&self, change: impl FnOnce(&mut ContainerRecord)) {
        change(&mut self.lock().record);
    }

    pub(crate) fn phase(&self) -> Phase {
        self.observed.borrow().phase
    }

    pub(crate) fn name(&self) -> String {
        self.lock().record.name.clone()
    }

    /// Returns the handle while the container runs.
    pub(crate) fn running(&self) -> Option<Running> {
        self.lock().running.clone()
    }

    /// Returns the handle while the container runs, which one that does not answer has not.
    pub(crate) fn running_or_unreachable(&self) -> Result<Option<Running>, Unreachable> {
        let inner = self.lock();
        if inner.running.is_none() && inner.record.status.phase.has_process() {
            return Err(Unreachable(self.id.clone()));
        }
        Ok(inner.running.clone())
    }

    pub(crate) fn set_running(&self, running: Option<Running>) {
        self.lock().running = running;
    }

    pub(crate) fn observe(&self) -> watch::Receiver<Observed> {
        self.observed.subscribe()
    }

    /// Returns the present run, to wait for its end. To be called before anything that brings it about.
    pub(crate) fn this_run(&self) -> ThisRun {
        let observed = self.observe();
        let n_exits = observed.borrow().n_exits;
        ThisRun { observed, n_exits }
    }

    /// Applies `event` to the record and tells waiters; returns false when it cannot happen now.
    pub(crate) fn apply(&self, event: Event) -> bool {
        self.apply_and(event, |_record| None)
    }

    /// Applies `event`, and the one that `decide` lets follow; nobody sees the state between them.
    /// Returns false when the first cannot happen now.
    pub(crate) fn apply_and(
        &self,
        event: Event,
        decide: impl FnOnce(&mut ContainerRecord) -> Option<Event>,
    ) -> bool {
        let is_exit = matches!(event, Event::Exited { .. } | Event::StartFailed { .. });
        let mut inner = self.lock();
        let Some(status) = inner.record.status.after(event) else {
            return false;
        };
        inner.record.status = status;
        if let Some(next) = decide(&mut inner.record)
            && let Some(status) = inner.record.status.after(next)
        {
            inner.record.status = status;
        }
        let (phase, exit) = (inner.record.status.phase, inner.record.status.exit);
        if !phase.has_process() {
            inner.running = None;
        }
        // Under the lock, so that waiters see states in the order in which they came.
        self.observed.send_modify(|observed| {
            observed.phase = phase;
            if is_exit {
                // A new run, which has none yet, leaves it to those who waited for the former.
                observed.exit = exit;
                observed.n_exits += 1;
            }
        });
        drop(inner);
        true
    }

    /// Replaces a state that was taken for granted by what has been found out.
    pub(crate) fn correct(&self, status: Status) {
        let mut inner = self.lock();
        let (phase, exit) = (status.phase, status.exit);
        inner.record.status = status;
        self.observed.send_modify(|observed| {
            observed.phase = phase;
            if !phase.has_process() {
                observed.exit = exit;
            }
        });
        drop(inner);
    }

    /// Tells waiters that the container is gone.
    pub(crate) fn announce_removal(&self) {
        let mut inner = self.lock();
        inner.waiting.clear();
        self.observed.send_modify(|observed| {
            observed.phase = Phase::Removing;
            observed.removed = true;
        });
    }

    /// Either returns the handle of the running container, or registers a client for its start. The
    /// client of one that is removed already finds its channel closed.
    ///
    /// # Errors
    /// When it runs and does not answer: there may be no start to wait for.
    pub(crate) fn running_or_wait(
        &self,
        waiter: Waiter,
    ) -> Result<Option<(Running, Waiter)>, Unreachable> {
        let mut inner = self.lock();
        if let Some(running) = inner.running.clone() {
            return Ok(Some((running, waiter)));
        }
        if inner.record.status.phase.has_process() {
            return Err(Unreachable(self.id.clone()));
        }
        if !self.observed.borrow().removed {
            inner.waiting.retain(|other| !other.attachment.is_closed());
            inner.waiting.push(waiter);
        }
        Ok(None)
    }

    pub(crate) fn take_waiting(&self) -> Vec<Waiter> {
        std::mem::take(&mut self.lock().waiting)
    }

    /// Notes that its next end is part of a restart. The lifecycle lock is held.
    pub(crate) fn set_restarting(&self) {
        self.lock().n_restarting += 1;
    }

    /// Notes that one restart of `run` has come to nothing; others may go on.
    pub(crate) fn give_up_restarting(&self, run: &ThisRun) {
        let mut inner = self.lock();
        if run.observed.borrow().n_exits == run.n_exits {
            inner.n_restarting = inner.n_restarting.saturating_sub(1);
        }
    }

    /// Returns whether the end that has just come is part of a restart; the next one is not. However many
    /// restart it at once, it ends once for all of them.
    pub(crate) fn take_restarting(&self) -> bool {
        std::mem::take(&mut self.lock().n_restarting) > 0
    }

    /// Tells those who wait for its removal that it has failed.
    pub(crate) fn announce_failed_removal(&self, error: String) {
        let mut inner = self.lock();
        inner.removal_error = error;
        self.observed
            .send_modify(|observed| observed.n_failed_removals += 1);
    }

    /// Returns why its removal by itself failed last.
    pub(crate) fn removal_error(&self) -> String {
        self.lock().removal_error.clone()
    }

    /// Begins a new round of looking after the container's health and returns its number.
    pub(crate) fn new_health_round(&self) -> u64 {
        let mut inner = self.lock();
        inner.health_round += 1;
        inner.health_round
    }

    /// Changes the record if `round` is still the one that looks after the container's health, and it runs.
    pub(crate) fn in_health_round<T>(
        &self,
        round: u64,
        change: impl FnOnce(&mut ContainerRecord) -> T,
    ) -> Option<T> {
        let mut inner = self.lock();
        let is_current = inner.health_round == round && inner.record.status.phase == Phase::Running;
        is_current.then(|| change(&mut inner.record))
    }

    /// Whether the container goes away now that it has ended.
    pub(crate) fn vanishes(&self) -> bool {
        self.lock().record.host.auto_remove
    }

    pub(crate) fn set_terminal_size(&self, size: TerminalSize) {
        self.lock().terminal_size = Some(size);
    }

    pub(crate) fn terminal_size(&self) -> Option<TerminalSize> {
        self.lock().terminal_size
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The data stays whole when a holder panics: every change is a plain assignment.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Container {
    /// One that was created and never started.
    pub(crate) fn for_test() -> Self {
        let record = serde_json::json!({
            "id": "ab".repeat(32), "name": "n", "image": "i", "image_id": "", "layers": [],
            "created": std::time::SystemTime::UNIX_EPOCH, "config": {}, "host": {}, "mounts": [], "status": {},
        });
        let record = serde_json::from_value(record).expect("a record");
        Self::new(record, None)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn start(container: &Container) {
        let at = SystemTime::now();
        assert!(container.apply(Event::Started { pid: 1, at }));
    }

    fn end(container: &Container) {
        assert!(container.apply(Event::Exited {
            exit: Exit::default(),
            started_at: None,
            at: SystemTime::now(),
        }));
    }

    #[tokio::test]
    async fn an_end_is_not_missed_when_the_next_run_has_begun() {
        let container = Container::for_test();
        start(&container);
        let mut run = container.this_run();
        end(&container);
        start(&container);
        run.ended().await;
        let mut next = container.this_run();
        let early = tokio::time::timeout(std::time::Duration::ZERO, next.ended()).await;
        assert!(early.is_err(), "the next run goes on");
    }

    #[test]
    fn one_end_serves_all_restarts_and_the_next_one_none() {
        let container = Container::for_test();
        let run = container.this_run();
        container.set_restarting();
        container.set_restarting();
        assert!(container.take_restarting());
        assert!(!container.take_restarting());
        // One that comes to nothing leaves the other one's.
        container.set_restarting();
        container.set_restarting();
        container.give_up_restarting(&run);
        assert!(container.take_restarting());
    }
}
