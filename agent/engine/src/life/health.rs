//! Looks after the health of containers: runs each one's check from time to time and notes the result.
//!
//! Each running container with a check has one sleeping task, no thread. A pause of the container ends
//! it and the next one begins with its going on, as in Docker.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::Engine;
use crate::container::Container;
use crate::container::health::{Health, HealthResult, HealthStatus};
use crate::container::status::Phase;
use crate::life::probe::{Finding, Probe};
use crate::options::HealthOptions;

/// What is done with a check, with Docker's times where none are given.
#[derive(Clone, Debug)]
struct Plan {
    probe: Probe,
    interval: Duration,
    start_interval: Duration,
    start_period: Duration,
    retries: u32,
}

// === impl Plan ===

impl Plan {
    /// Returns nothing when there is nothing to check.
    fn new(options: &HealthOptions, shell: &[String]) -> Option<Self> {
        let or = |nanos: i64, seconds: u64| match u64::try_from(nanos) {
            Ok(0) | Err(_) => Duration::from_secs(seconds),
            Ok(nanos) => Duration::from_nanos(nanos),
        };
        let retries = match u32::try_from(options.retries) {
            Ok(0) | Err(_) => 3,
            Ok(retries) => retries,
        };
        Some(Self {
            probe: Probe::new(&options.test, shell, or(options.timeout_nanos, 30))?,
            interval: or(options.interval_nanos, 30),
            start_interval: or(options.start_interval_nanos, 5),
            start_period: or(options.start_period_nanos, 0),
            retries,
        })
    }

    /// Returns the time to the next check of a container that was started `age` ago.
    fn pause(&self, status: HealthStatus, age: Duration) -> Duration {
        if status == HealthStatus::Starting && age < self.start_period {
            self.start_interval
        } else {
            self.interval
        }
    }
}

impl Engine {
    /// Begins to look after a container that runs. Whoever did so before stops.
    pub(crate) fn look_after_health(self: &Arc<Self>, container: &Arc<Container>) {
        let plan = container.with_record(|record| {
            let check = record.config.healthcheck.as_ref();
            check.and_then(|check| Plan::new(check, &record.config.shell))
        });
        let Some(plan) = plan else {
            return;
        };
        let round = container.new_health_round();
        container.in_health_round(round, |record| {
            record.status.health.get_or_insert_default();
        });
        let (engine, container) = (Arc::clone(self), Arc::clone(container));
        tokio::spawn(async move { engine.check_again_and_again(&container, &plan, round).await });
    }

    async fn check_again_and_again(
        self: &Arc<Self>,
        container: &Arc<Container>,
        plan: &Plan,
        round: u64,
    ) {
        let mut observed = container.observe();
        let n_exits = observed.borrow().n_exits;
        while let Some((status, age)) = state(container, round) {
            let over = observed.wait_for(|o| o.phase != Phase::Running || o.n_exits != n_exits);
            if tokio::time::timeout(plan.pause(status, age), over)
                .await
                .is_ok()
            {
                return;
            }
            let (start, began) = (SystemTime::now(), Instant::now());
            let Some(finding) = self.probe(container, &plan.probe).await else {
                // It ended or was frozen while it was looked at, which says nothing.
                continue;
            };
            self.note_health(container, plan, round, (start, began.elapsed(), finding));
        }
    }

    fn note_health(
        self: &Arc<Self>,
        container: &Arc<Container>,
        plan: &Plan,
        round: u64,
        (start, took, finding): (SystemTime, Duration, Finding),
    ) {
        let result = HealthResult {
            start,
            end: start + took,
            exit_code: finding.exit_code,
            output: finding.output,
        };
        let changed = container.in_health_round(round, |record| {
            let started_at = record.status.started_at.unwrap_or(start);
            let health = record.status.health.get_or_insert_default();
            let before = health.status;
            health.note(result, plan.retries, started_at, plan.start_period);
            (before != health.status).then_some(health.status)
        });
        if let Some(Some(status)) = changed {
            self.store_behind(container);
            let action = format!("health_status: {}", status.word());
            self.container_event(container, &action);
        }
    }
}

/// Returns what is known while the round goes on.
fn state(container: &Container, round: u64) -> Option<(HealthStatus, Duration)> {
    container.in_health_round(round, |record| {
        let status = record
            .status
            .health
            .as_ref()
            .map_or_else(|| Health::default().status, |health| health.status);
        let started_at = record.status.started_at;
        let age = started_at.and_then(|at| SystemTime::now().duration_since(at).ok());
        (status, age.unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(test: &[&str]) -> Option<Plan> {
        let options = HealthOptions {
            test: test.iter().map(|&word| word.to_owned()).collect(),
            start_period_nanos: 60_000_000_000,
            ..HealthOptions::default()
        };
        Plan::new(&options, &[])
    }

    #[test]
    fn what_is_not_given_is_dockers() {
        let plan = plan(&["CMD", "ok"]).expect("a plan");
        assert_eq!(plan.interval, Duration::from_secs(30));
        assert_eq!(plan.retries, 3);
        let pause = |status, age| plan.pause(status, Duration::from_secs(age)).as_secs();
        assert_eq!(pause(HealthStatus::Starting, 1), 5);
        assert_eq!(pause(HealthStatus::Starting, 60), 30);
        assert_eq!(pause(HealthStatus::Healthy, 1), 30);
    }

    #[test]
    fn no_check_means_no_plan() {
        for test in [&[][..], &["NONE"], &["CMD"], &["WHAT", "ever"]] {
            assert!(plan(test).is_none(), "{test:?}");
        }
    }
}
