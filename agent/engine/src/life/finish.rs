//! What happens when a container ends: note how, give its network back, remove it if asked to.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use berth_agent_runtime::{ExitRecord, Running};

use crate::Engine;
use crate::container::Container;
use crate::container::record::ContainerRecord;
use crate::container::restart::Policy;
use crate::container::status::{Event, Exit};
use crate::start::host_mounts;

/// Exit code of a container whose end nobody saw, as Docker's.
pub(crate) const UNKNOWN_EXIT: i32 = 255;

/// From when on after its start a container's memory is watched. Short ones are not worth the work.
const SETTLES_WITHIN: Duration = Duration::from_millis(100);

/// Whether it has been told of a run that the kernel killed for want of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Shortage {
    #[default]
    Untold,
    Told,
}

/// Who saw the beginning of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// This agent, which has started it.
    Own,
    /// An agent before, which has told what it saw.
    Former,
}

impl Engine {
    /// Waits for the container's end in the background.
    pub(crate) fn watch(self: &Arc<Self>, container: Arc<Container>, running: Running, run: Run) {
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            let mut oom = Shortage::default();
            let exit = tokio::select! {
                exit = running.wait() => exit,
                never = engine.tell_shortages(&container, &running, run, &mut oom) => match never {},
            };
            // One at a time: a start that follows at once waits for the clean-up.
            let guard = container.lifecycle.lock().await;
            engine.finish(&container, exit, oom).await;
            drop(guard);
        });
    }

    /// Tells each time that the kernel kills in a container for want of memory.
    async fn tell_shortages(
        &self,
        container: &Container,
        running: &Running,
        run: Run,
        oom: &mut Shortage,
    ) -> Infallible {
        // Most containers that run short do not run out of memory in that time; at the end it is told anyway.
        tokio::time::sleep(SETTLES_WITHIN).await;
        match running.shortages().await {
            Ok(Some(mut shortages)) => {
                if shortages.so_far() > 0 {
                    *oom = Shortage::Told;
                    if run == Run::Own {
                        self.container_event(container, "oom");
                    }
                }
                while shortages.next().await.is_ok() {
                    *oom = Shortage::Told;
                    self.container_event(container, "oom");
                }
            }
            Ok(None) => {}
            // It has just ended.
            Err(error) => {
                tracing::debug!(container = %container.id(), %error, "memory not watched");
            }
        }
        std::future::pending().await
    }

    /// Notes the end of a container and cleans up after it. The lifecycle lock is held.
    pub(crate) async fn finish(
        self: &Arc<Self>,
        container: &Arc<Container>,
        exit: Option<ExitRecord>,
        oom: Shortage,
    ) {
        let mut pause = None;
        let by_hand = container.take_restarting();
        let happened = container.apply_and(exited(exit), |record| {
            if !by_hand {
                pause = decide_restart(record);
            }
            pause.map(|_pause| Event::RestartDecided)
        });
        if !happened {
            return;
        }
        self.tell_end(container, oom);
        self.end_network(container).await;
        self.mount_events(container, "unmount");
        if container.vanishes() && !by_hand {
            return self.remove_finished(container).await;
        }
        let has_policy =
            container.with_record(|r| Policy::of(&r.host.restart_policy) != Policy::No);
        // What was tried already decides whether it is tried again, also after a crash of the agent.
        if has_policy {
            if let Err(error) = self.store_and_wait(container).await {
                tracing::error!(container = %container.id(), error = %error, "end not recorded");
            }
        } else {
            self.store_behind(container);
        }
        if let Some(pause) = pause {
            self.start_later(container, pause);
        }
    }

    /// Tells how a container ended.
    pub(crate) fn tell_end(&self, container: &Container, oom: Shortage) {
        let (exit, ran_for) =
            container.with_record(|record| (record.status.exit, record.status.ran_for()));
        if exit.oom_killed && oom == Shortage::Untold {
            self.container_event(container, "oom");
        }
        let code = exit.code.to_string();
        let ran_for = ran_for.as_secs().to_string();
        let more = [("exitCode", code.as_str()), ("execDuration", &ran_for)];
        self.container_event_with(container, "die", more);
    }

    /// Takes a container's network back.
    pub(crate) async fn end_network(&self, container: &Container) {
        let id = container.id();
        if let Err(error) = self.network.detach(id.as_str()).await {
            tracing::warn!(container = %id, error = %error, "network not detached");
        }
        self.release_mounts(id.as_str());
        let mut endpoints = Vec::new();
        container.change_record(|record| {
            endpoints = record.network.take().unwrap_or_default().endpoints;
        });
        for endpoint in endpoints {
            self.named_network_event(&endpoint.network, "disconnect", container);
        }
    }
}

/// Decides whether a container that has just ended is started again, and after which pause.
pub(crate) fn decide_restart(record: &mut ContainerRecord) -> Option<Duration> {
    let policy = Policy::of(&record.host.restart_policy);
    let ran_for = record.status.ran_for();
    record
        .restart
        .decide(policy, record.status.exit.code, ran_for)
}

impl Engine {
    /// Takes back what the machine has mounted for a container that does not run.
    pub(crate) fn release_mounts(&self, id: &str) {
        self.release_volumes(id);
        if let Err(error) = host_mounts::release(&self.paths.host_mounts(id)) {
            tracing::warn!(container = id, error = %error, "mounts of the machine not released");
        }
    }
}

/// Returns the event of an end; nothing when nobody saw how it came.
pub(crate) fn exited(exit: Option<ExitRecord>) -> Event {
    match exit {
        Some(exit) => Event::Exited {
            exit: Exit {
                code: exit.code,
                oom_killed: exit.oom_killed,
            },
            started_at: Some(exit.started_at),
            at: exit.finished_at,
        },
        None => Event::Exited {
            exit: Exit {
                code: UNKNOWN_EXIT,
                oom_killed: false,
            },
            started_at: None,
            at: SystemTime::now(),
        },
    }
}
