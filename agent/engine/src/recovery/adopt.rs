//! Meets containers again that a former agent started.
//!
//! A supervisor that does not answer says nothing about its container, so that one counts as running
//! (it keeps its address and files) and is asked again until it answers or is gone.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use berth_agent_runtime::{ExitRecord, ReattachError, Reattached, Running};

use crate::Engine;
use crate::container::Container;
use crate::container::record::ContainerRecord;
use crate::container::status::{Event, Phase, Status};
use crate::life::finish::exited;

/// How long a supervisor may take to answer. It has nothing else to do.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// The pauses between the questions to one that does not answer: doubled up to the longest.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(500);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Engine {
    /// Asks each container's supervisor, all at the same time. Returns those to be removed.
    pub(crate) async fn meet_again(
        self: &Arc<Self>,
        records: Vec<ContainerRecord>,
    ) -> Vec<Arc<Container>> {
        let meetings = records.into_iter().map(|record| async {
            let folder = self.paths.container(&record.id);
            let answer = self.ask(record.id.as_str(), &folder).await;
            self.adopt(record, answer)
        });
        futures::future::join_all(meetings)
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    /// Asks what became of a container; nothing when nobody can tell now.
    pub(crate) async fn ask(&self, id: &str, folder: &Path) -> Option<Reattached> {
        let run_dir = self.paths.container_run(id);
        let asked = self.runtime.reattach(id, folder, &run_dir);
        match tokio::time::timeout(ANSWERS_WITHIN, asked).await {
            Ok(Ok(answer)) => Some(answer),
            // The supervisor is gone, and what it wrote last is no use.
            Ok(Err(error @ ReattachError::ExitRecord { .. })) => {
                tracing::error!(container = id, error = %error, "how it ended is not known");
                Some(Reattached::Lost)
            }
            Ok(Err(error)) => {
                tracing::error!(container = id, error = %error, "supervisor cannot be asked");
                None
            }
            Err(_elapsed) => {
                tracing::error!(container = id, "supervisor does not answer");
                None
            }
        }
    }

    /// Puts a container into memory as it was found. Returns it when it is to be removed.
    fn adopt(
        self: &Arc<Self>,
        mut record: ContainerRecord,
        answer: Option<Reattached>,
    ) -> Option<Arc<Container>> {
        let is_answer = answer.is_some();
        let known = record.status.clone();
        let mut running = None;
        match answer {
            Some(Reattached::Running(found)) => {
                record.status = as_found(&known, &found);
                running = Some(found);
            }
            Some(Reattached::Exited(exit)) => note_exit(&mut record, Some(exit)),
            Some(Reattached::Lost) => note_exit(&mut record, None),
            None if !known.phase.is_alive() => {
                record.status = still_running(&known, 0, SystemTime::now(), false);
            }
            None => {}
        }
        // What never ran stays, as in Docker; what ran and was to vanish does.
        let has_run = record.status.phase == Phase::Exited;
        let vanishes = record.host.auto_remove && has_run;
        let changed = record.status != known;
        let container = Arc::new(Container::new(record, running.clone()));
        self.containers.insert(Arc::clone(&container));
        if changed && is_answer {
            self.store_behind(&container);
        }
        match running {
            Some(running) => self.watch(Arc::clone(&container), running),
            None if !is_answer => self.ask_again(Arc::clone(&container), known),
            None => {}
        }
        vanishes.then_some(container)
    }

    /// Asks in the background until there is an answer. `known` is what was on record of the container before it was
    /// taken to run for want of one.
    fn ask_again(self: &Arc<Self>, container: Arc<Container>, known: Status) {
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            let folder = engine.paths.container(container.id());
            let mut pause = FIRST_PAUSE;
            loop {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                let guard = container.lifecycle.lock().await;
                match engine.ask(container.id().as_str(), &folder).await {
                    Some(Reattached::Running(found)) => {
                        engine.found_running(&container, found);
                        break;
                    }
                    Some(Reattached::Exited(exit)) => {
                        engine.found_ended(&container, known, Some(exit)).await;
                        break;
                    }
                    Some(Reattached::Lost) => {
                        engine.found_ended(&container, known, None).await;
                        break;
                    }
                    None => drop(guard),
                }
            }
        });
    }

    fn found_running(self: &Arc<Self>, container: &Arc<Container>, found: Running) {
        let taken = container.with_record(|record| record.status.clone());
        container.correct(as_found(&taken, &found));
        container.set_running(Some(found.clone()));
        self.store_behind(container);
        self.watch(Arc::clone(container), found);
    }

    /// Notes the end of a container that was taken to run. One that had not run, and of which nothing more is found, is
    /// what it was.
    async fn found_ended(
        self: &Arc<Self>,
        container: &Arc<Container>,
        known: Status,
        exit: Option<ExitRecord>,
    ) {
        if is_news(&known, exit.as_ref()) {
            return self.finish(container, exit).await;
        }
        let has_run = known.phase == Phase::Exited;
        container.correct(known);
        self.end_network(container).await;
        if has_run && container.vanishes() {
            self.remove_finished(container).await;
        } else {
            self.store_behind(container);
        }
    }
}

/// Returns the state of a container whose supervisor has answered. It knows best whether the container is frozen: that is
/// not waited to the disk.
fn as_found(known: &Status, found: &Running) -> Status {
    let is_frozen = found.was_paused().unwrap_or(known.phase == Phase::Paused);
    still_running(known, found.pid(), found.started_at(), is_frozen)
}

/// Returns the state of a container that runs, whatever was known of it. One that is frozen would refuse
/// to be thawed if it counted as running.
fn still_running(known: &Status, pid: i32, at: SystemTime, is_frozen: bool) -> Status {
    let ended = Status {
        phase: Phase::Exited,
        ..known.clone()
    };
    let running = ended.after(Event::Started { pid, at }).unwrap_or(ended);
    if is_frozen {
        return running.after(Event::Paused).unwrap_or(running);
    }
    running
}

/// Returns whether an end is news. A container that was not running has none when nothing was found.
fn is_news(known: &Status, exit: Option<&ExitRecord>) -> bool {
    let is_later = |exit: &ExitRecord| known.finished_at.is_none_or(|at| at < exit.finished_at);
    known.phase.is_alive() || exit.is_some_and(is_later)
}

fn note_exit(record: &mut ContainerRecord, exit: Option<ExitRecord>) {
    if is_news(&record.status, exit.as_ref()) {
        record.status = record.status.after(exited(exit)).unwrap_or_default();
        record.network = None;
    }
}
