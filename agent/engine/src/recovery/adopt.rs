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
use crate::container::restart::Policy;
use crate::container::status::{Event, Phase, Status};
use crate::life::again::left_of;
use crate::life::finish::{Run, Shortage, UNKNOWN_EXIT, decide_restart, exited};
use crate::start::refresh_network;

/// How long a supervisor may take to answer. It has nothing else to do.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// The pauses between the questions to one that does not answer: doubled up to the longest.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(500);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Engine {
    /// Asks each container's supervisor, all at the same time. Returns those that something is to be done
    /// with. `is_boot`: the machine has been booted since.
    pub(crate) async fn meet_again(
        self: &Arc<Self>,
        records: Vec<ContainerRecord>,
        is_boot: bool,
    ) -> Vec<(Arc<Container>, Next)> {
        let meetings = records.into_iter().map(|record| async {
            let folder = self.paths.container(&record.id);
            let answer = self.ask(record.id.as_str(), &folder).await;
            self.adopt(record, answer, is_boot)
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

    /// Puts a container into memory as it was found. Returns it when something is to be done with it.
    fn adopt(
        self: &Arc<Self>,
        mut record: ContainerRecord,
        answer: Option<Reattached>,
        is_boot: bool,
    ) -> Option<(Arc<Container>, Next)> {
        let is_answer = answer.is_some();
        let known = record.status.clone();
        let (mut running, mut is_news) = (None, false);
        match answer {
            Some(Reattached::Running(found)) => {
                record.status = as_found(&known, &found);
                // What is written behind may be of a time before the agent was killed.
                if let Some(attachment) = self.network.attachment(record.id.as_str()) {
                    refresh_network(self, &mut record, &attachment);
                }
                running = Some(found);
            }
            Some(Reattached::Exited(exit)) => is_news = note_exit(&mut record, Some(exit)),
            Some(Reattached::Lost) => is_news = note_exit(&mut record, None),
            None if !known.phase.has_process() => {
                record.status = still_running(&known, 0, SystemTime::now(), false);
            }
            None => {}
        }
        let next = if record.status.phase.has_process() {
            None
        } else {
            what_next(&mut record, is_boot, is_news)
        };
        let changed = record.status != known;
        let container = Arc::new(Container::new(record, running.clone()));
        self.containers.insert(Arc::clone(&container));
        if changed && is_answer {
            self.store_behind(&container);
        }
        if is_news {
            // Nobody was there to tell it when it came.
            self.tell_end(&container, Shortage::default());
        }
        match running {
            Some(running) => {
                self.look_after_health(&container);
                self.watch(Arc::clone(&container), running, Run::Former);
            }
            None if !is_answer => self.ask_again(Arc::clone(&container), known),
            None => {}
        }
        next.map(|next| (container, next))
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
        if let Some(attachment) = self.network.attachment(container.id().as_str()) {
            container.change_record(|record| refresh_network(self, record, &attachment));
        }
        container.set_running(Some(found.clone()));
        self.store_behind(container);
        self.look_after_health(container);
        self.watch(Arc::clone(container), found, Run::Former);
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
            self.finish(container, exit, Shortage::default()).await;
            if container.phase() != Phase::Exited || container.vanishes() {
                return;
            }
        } else {
            let phase = known.phase;
            container.correct(known);
            self.end_network(container).await;
            if phase == Phase::Exited && container.vanishes() {
                return self.remove_finished(container).await;
            }
        }
        let mut record = container.record();
        let next = what_next(&mut record, false, false);
        container.change_record(|current| current.restart = record.restart);
        container.correct(record.status);
        self.store_behind(container);
        match next {
            Some(Next::StartIn(left)) => self.start_later(container, left),
            Some(Next::Start) => self.start_later(container, Duration::ZERO),
            // What was never started may have a client yet.
            Some(Next::Remove) | None => {}
        }
    }
}

/// What is to be done with a container that does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Remove,
    /// Start it when this time is over.
    StartIn(Duration),
    /// Start it as soon as there is room.
    Start,
}

/// Decides what is to be done with a container that does not run, and brings its record there.
fn what_next(record: &mut ContainerRecord, is_boot: bool, is_news: bool) -> Option<Next> {
    let has_run = record.status.phase != Phase::Created;
    if record.host.auto_remove {
        // What was never started may have a client yet, but not after a boot.
        return (has_run || is_boot).then_some(Next::Remove);
    }
    let policy = Policy::of(&record.host.restart_policy);
    let was_started = record.was_started || record.status.started_at.is_some();
    if is_boot {
        // One that a power failure ended may be on record as it was before its start.
        let code = if record.status.phase == Phase::Created {
            UNKNOWN_EXIT
        } else {
            record.status.exit.code
        };
        let starts = was_started && record.restart.decide_at_boot(policy, code);
        return follow(record, starts.then_some(Next::Start));
    }
    if is_news && let Some(pause) = decide_restart(record) {
        let since = record.status.finished_at;
        return follow(record, Some(Next::StartIn(left_of(pause, since))));
    }
    if record.status.phase == Phase::Restarting {
        return Some(Next::StartIn(left_of_pause(record)));
    }
    // As dockerd at each of its starts: what is always to run, runs, also when somebody had stopped it.
    let starts = match policy {
        Policy::Always | Policy::UnlessStopped => was_started,
        Policy::No | Policy::OnFailure { .. } => false,
    };
    let starts = starts && record.restart.decide_at_boot(policy, 0);
    follow(record, starts.then_some(Next::Start))
}

/// Brings the record to what was decided.
fn follow(record: &mut ContainerRecord, next: Option<Next>) -> Option<Next> {
    let event = if next.is_some() {
        Event::RestartDecided
    } else {
        Event::RestartGivenUp
    };
    if let Some(status) = record.status.after(event) {
        record.status = status;
    }
    next
}

fn left_of_pause(record: &ContainerRecord) -> Duration {
    left_of(record.restart.pause(), record.status.finished_at)
}

/// Returns the state of a container whose supervisor has answered. It knows best whether the container is frozen: that is
/// not waited to the disk.
fn as_found(known: &Status, found: &Running) -> Status {
    let is_frozen = found.was_paused().unwrap_or(known.phase == Phase::Paused);
    let is_same_run = known.started_at == Some(found.started_at());
    let mut status = still_running(known, found.pid(), found.started_at(), is_frozen);
    if is_same_run {
        status.health.clone_from(&known.health);
    }
    status
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
    known.phase.has_process() || exit.is_some_and(is_later)
}

/// Notes how a container ended; returns whether that is news.
fn note_exit(record: &mut ContainerRecord, exit: Option<ExitRecord>) -> bool {
    let is_news = is_news(&record.status, exit.as_ref());
    if is_news {
        record.status = record.status.after(exited(exit)).unwrap_or_default();
        record.network = None;
    }
    is_news
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(policy: &str, phase: &str, more: serde_json::Value) -> ContainerRecord {
        let at = SystemTime::now() - Duration::from_secs(5);
        let mut value = json!({
            "id": "ab".repeat(32), "name": "n", "image": "i", "image_id": "", "layers": [],
            "created": at, "config": {}, "mounts": [],
            "host": { "restart_policy": { "name": policy } },
            "status": { "phase": phase, "started_at": at, "finished_at": at, "exit": { "code": 1, "oom_killed": false } },
        });
        for (key, part) in more.as_object().expect("an object") {
            for (name, field) in part.as_object().expect("an object") {
                value[key][name] = field.clone();
            }
        }
        serde_json::from_value(value).expect("a record")
    }

    #[test]
    fn after_a_boot_policies_decide_and_what_vanishes_is_removed() {
        let by_hand = json!({ "restart": { "stopped_by_hand": true } });
        let nothing = json!({});
        for (policy, more, expected) in [
            ("always", &by_hand, Some(Next::Start)),
            ("unless-stopped", &by_hand, None),
            ("unless-stopped", &nothing, Some(Next::Start)),
            ("on-failure", &nothing, Some(Next::Start)),
            ("no", &nothing, None),
        ] {
            let mut found = record(policy, "Exited", more.clone());
            assert_eq!(
                what_next(&mut found, true, true),
                expected,
                "{policy} {more}"
            );
            let phase = found.status.phase;
            assert_eq!(phase == Phase::Restarting, expected.is_some(), "{policy}");
        }
        let remove = json!({ "host": { "auto_remove": true }, "status": { "started_at": null } });
        let mut created = record("", "Created", remove);
        assert_eq!(what_next(&mut created, false, false), None);
        assert_eq!(what_next(&mut created, true, false), Some(Next::Remove));
        let mut never = record(
            "always",
            "Created",
            json!({ "status": { "started_at": null } }),
        );
        assert_eq!(what_next(&mut never, true, false), None);
        never.was_started = true;
        assert_eq!(what_next(&mut never, true, false), Some(Next::Start));
    }

    #[test]
    fn in_the_same_boot_only_news_and_pauses_count() {
        let by_hand = json!({ "restart": { "stopped_by_hand": true } });
        for (policy, expected) in [
            ("always", Some(Next::Start)),
            ("unless-stopped", None),
            ("on-failure", None),
            ("no", None),
        ] {
            let mut stopped = record(policy, "Exited", by_hand.clone());
            assert_eq!(what_next(&mut stopped, false, false), expected, "{policy}");
            let is_wanted = stopped.restart.stopped_by_hand;
            assert_eq!(is_wanted, expected.is_none(), "{policy}");
        }
        // An end that is news changes nothing of that.
        let mut stopped = record("always", "Exited", by_hand.clone());
        assert_eq!(what_next(&mut stopped, false, true), Some(Next::Start));
        assert_eq!(stopped.status.phase, Phase::Restarting);
        let mut stopped = record("unless-stopped", "Exited", by_hand);
        assert_eq!(what_next(&mut stopped, false, true), None);
        // Its start has failed.
        let mut down = record("unless-stopped", "Exited", json!({}));
        assert_eq!(what_next(&mut down, false, false), Some(Next::Start));
        let mut ended = record("unless-stopped", "Exited", json!({}));
        assert_eq!(
            what_next(&mut ended, false, true),
            Some(Next::StartIn(Duration::ZERO))
        );
        assert_eq!(
            (ended.status.phase, ended.restart.count),
            (Phase::Restarting, 1)
        );
        let waits = json!({ "restart": { "pause_millis": 60_000 } });
        let mut waiting = record("always", "Restarting", waits);
        let Some(Next::StartIn(left)) = what_next(&mut waiting, false, false) else {
            panic!("it waits no more");
        };
        assert!(
            left > Duration::from_secs(50) && left <= Duration::from_secs(55),
            "{left:?}"
        );
    }
}
