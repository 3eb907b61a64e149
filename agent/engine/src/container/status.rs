//! The state machine of a container: which events lead from where to where. Pure, so that it is
//! tested without a kernel.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::container::health::{Health, HealthStatus};
use crate::view::human;

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Made, never started.
    #[default]
    Created,
    /// Its process runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It has ended and will be started again.
    Restarting,
    /// Its process has ended.
    Exited,
    /// It could not be removed in full.
    Dead,
    /// It is being removed.
    Removing,
}

/// How a container's process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// 0 to 255; 128 and the signal's number when a signal ended it.
    pub code: i32,
    /// Whether the kernel ended it for want of memory.
    pub oom_killed: bool,
}

/// State of a container, as stored and as told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Where it is in its life.
    pub phase: Phase,
    /// Process id on the machine while it runs.
    pub pid: Option<i32>,
    /// How it ended last.
    pub exit: Exit,
    /// Why the last start failed.
    pub error: String,
    /// When it was started last.
    pub started_at: Option<SystemTime>,
    /// When it ended last.
    pub finished_at: Option<SystemTime>,
    /// Whether it is well, once its check was set up.
    pub(crate) health: Option<Health>,
}

/// What happens to a container.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Started {
        pid: i32,
        at: SystemTime,
    },
    StartFailed {
        code: i32,
        error: String,
        at: SystemTime,
    },
    Exited {
        exit: Exit,
        started_at: Option<SystemTime>,
        at: SystemTime,
    },
    /// Having ended, it is going to be started again.
    RestartDecided,
    /// It is not going to be started again after all.
    RestartGivenUp,
    Paused,
    Resumed,
    RemovalBegan,
}

impl Phase {
    /// Whether it counts as running: there is a live process, or there will be one by itself.
    #[must_use]
    pub fn is_alive(self) -> bool {
        self.has_process() || self == Self::Restarting
    }

    /// Whether there is a live process.
    #[must_use]
    pub fn has_process(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    /// Returns the word that Docker uses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Dead => "dead",
            Self::Removing => "removing",
        }
    }
}

impl Status {
    /// Returns the state after `event`, or nothing when it cannot happen in this one.
    pub(crate) fn after(&self, event: Event) -> Option<Self> {
        let mut next = self.clone();
        match (self.phase, event) {
            (Phase::Created | Phase::Exited | Phase::Restarting, Event::Started { pid, at }) => {
                next = Self {
                    phase: Phase::Running,
                    pid: Some(pid),
                    started_at: Some(at),
                    // Until it ends again, this tells when it did so last.
                    finished_at: self.finished_at,
                    health: self.health.as_ref().map(Health::begin_again),
                    ..Self::default()
                };
            }
            (
                Phase::Created | Phase::Exited | Phase::Restarting,
                Event::StartFailed { code, error, at },
            ) => {
                next.exit = Exit {
                    code,
                    oom_killed: false,
                };
                next.error = error;
                if self.phase != Phase::Created {
                    next.phase = Phase::Exited;
                    next.finished_at = Some(at);
                }
            }
            // An agent that was away learns of a start only by its end.
            (Phase::Removing | Phase::Dead, Event::Exited { .. }) => return None,
            (
                _,
                Event::Exited {
                    exit,
                    started_at,
                    at,
                },
            ) => {
                next.phase = Phase::Exited;
                next.pid = None;
                next.exit = exit;
                next.started_at = started_at.or(self.started_at);
                next.finished_at = Some(at);
                if let Some(health) = &mut next.health {
                    // Nobody looks any more.
                    health.status = HealthStatus::Unhealthy;
                }
            }
            (Phase::Created | Phase::Exited, Event::RestartDecided) => {
                next.phase = Phase::Restarting;
            }
            (Phase::Restarting, Event::RestartGivenUp) => next.phase = Phase::Exited,
            (Phase::Running, Event::Paused) => next.phase = Phase::Paused,
            (Phase::Paused, Event::Resumed) => next.phase = Phase::Running,
            (
                Phase::Created | Phase::Exited | Phase::Dead | Phase::Removing,
                Event::RemovalBegan,
            ) => {
                next.phase = Phase::Removing;
            }
            _ => return None,
        }
        Some(next)
    }

    /// Returns the state for people: "Up 2 minutes", "Exited (0) 3 hours ago".
    #[must_use]
    pub fn text(&self) -> String {
        let ago =
            |time: Option<SystemTime>| human::duration(time.map(human::since).unwrap_or_default());
        match self.phase {
            Phase::Created => "Created".to_owned(),
            Phase::Running => match &self.health {
                Some(health) => format!("Up {} ({})", ago(self.started_at), health.text()),
                None => format!("Up {}", ago(self.started_at)),
            },
            Phase::Paused => format!("Up {} (Paused)", ago(self.started_at)),
            Phase::Restarting => {
                format!(
                    "Restarting ({}) {} ago",
                    self.exit.code,
                    ago(self.finished_at)
                )
            }
            Phase::Exited => format!("Exited ({}) {} ago", self.exit.code, ago(self.finished_at)),
            Phase::Dead => "Dead".to_owned(),
            Phase::Removing => "Removal In Progress".to_owned(),
        }
    }

    /// Returns how long it ran last.
    pub(crate) fn ran_for(&self) -> Duration {
        let times = self.started_at.zip(self.finished_at);
        times
            .and_then(|(start, end)| end.duration_since(start).ok())
            .unwrap_or_default()
    }

    /// Returns Docker's word for the health, `none` without a check.
    pub(crate) fn health_word(&self) -> &'static str {
        self.health
            .as_ref()
            .map_or("none", |health| health.status.word())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event() -> impl Strategy<Value = Event> {
        let at = SystemTime::UNIX_EPOCH;
        prop_oneof![
            (1..100).prop_map(move |pid| Event::Started { pid, at }),
            (126..128).prop_map(move |code| Event::StartFailed {
                code,
                error: "e".to_owned(),
                at
            }),
            (0..256).prop_map(move |code| Event::Exited {
                exit: Exit {
                    code,
                    oom_killed: false
                },
                started_at: None,
                at
            }),
            Just(Event::Paused),
            Just(Event::Resumed),
            Just(Event::RestartDecided),
            Just(Event::RestartGivenUp),
            Just(Event::RemovalBegan),
        ]
    }

    proptest! {
        #[test]
        fn a_pid_is_known_exactly_while_alive(events in proptest::collection::vec(event(), 0..30)) {
            let mut status = Status::default();
            for event in events {
                if let Some(next) = status.after(event) {
                    status = next;
                }
                prop_assert_eq!(status.pid.is_some(), status.phase.has_process());
            }
        }

        #[test]
        fn nothing_leaves_removal(events in proptest::collection::vec(event(), 0..30)) {
            let mut status = Status { phase: Phase::Removing, ..Status::default() };
            for event in events {
                if let Some(next) = status.after(event) {
                    status = next;
                }
                prop_assert_eq!(status.phase, Phase::Removing);
            }
        }
    }

    #[test]
    fn a_failed_first_start_leaves_it_created_with_its_code() {
        let failed = Event::StartFailed {
            code: 127,
            error: "no".to_owned(),
            at: SystemTime::now(),
        };
        let status = Status::default().after(failed).expect("possible");
        assert_eq!((status.phase, status.exit.code), (Phase::Created, 127));
        assert_eq!(status.text(), "Created");
    }

    #[test]
    fn a_new_run_keeps_when_the_last_one_ended_and_what_its_checks_found() {
        let ended = SystemTime::UNIX_EPOCH;
        let mut health = Health {
            status: HealthStatus::Unhealthy,
            failing_streak: 4,
            ..Health::default()
        };
        health
            .log
            .push_back(crate::container::health::HealthResult {
                start: ended,
                end: ended,
                exit_code: 1,
                output: String::new(),
            });
        let status = Status {
            phase: Phase::Exited,
            finished_at: Some(ended),
            exit: Exit {
                code: 3,
                oom_killed: true,
            },
            health: Some(health),
            ..Status::default()
        };
        let at = SystemTime::now();
        let running = status
            .after(Event::Started { pid: 1, at })
            .expect("possible");
        assert_eq!(running.finished_at, Some(ended));
        assert_eq!(
            (running.exit, running.ran_for()),
            (Exit::default(), Duration::ZERO)
        );
        let health = running.health.expect("checks");
        assert_eq!(
            (health.status, health.failing_streak),
            (HealthStatus::Starting, 0)
        );
        assert_eq!(health.log.len(), 1);
    }

    #[test]
    fn a_live_container_cannot_begin_removal() {
        let started = Event::Started {
            pid: 1,
            at: SystemTime::now(),
        };
        let running = Status::default().after(started).expect("possible");
        assert!(running.after(Event::RemovalBegan).is_none());
        assert_eq!(running.text(), "Up Less than a second");
    }
}
