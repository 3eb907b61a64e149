//! What is known of a container's health.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// Checks that are remembered, as Docker's.
const REMEMBERED: usize = 5;

/// Whether a container is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthStatus {
    /// It has not been found well yet, and not been ill for too long.
    #[default]
    Starting,
    /// The last check went well.
    Healthy,
    /// Too many checks in a row failed, or nobody looks any more.
    Unhealthy,
}

/// Result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HealthResult {
    pub(crate) start: SystemTime,
    pub(crate) end: SystemTime,
    /// 0: well; -1: it could not be found out in time.
    pub(crate) exit_code: i32,
    pub(crate) output: String,
}

/// What is known of a container's health, oldest result first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Health {
    pub(crate) status: HealthStatus,
    pub(crate) failing_streak: u32,
    pub(crate) log: VecDeque<HealthResult>,
}

// === impl HealthStatus ===

impl HealthStatus {
    /// Returns Docker's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// Reads Docker's word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Starting, Self::Healthy, Self::Unhealthy]
            .into_iter()
            .find(|status| status.word() == word)
    }
}

// === impl Health ===

impl Health {
    /// Takes in one more result. `retries` failures in a row make ill; those of the first
    /// `start_period` after `started_at` do not count until it was well once.
    pub(crate) fn note(
        &mut self,
        result: HealthResult,
        retries: u32,
        started_at: SystemTime,
        start_period: Duration,
    ) {
        let age = result.start.duration_since(started_at).unwrap_or_default();
        if result.exit_code == 0 {
            self.failing_streak = 0;
            self.status = HealthStatus::Healthy;
        } else if self.status != HealthStatus::Starting || age >= start_period {
            self.failing_streak = self.failing_streak.saturating_add(1);
            if self.failing_streak >= retries {
                self.status = HealthStatus::Unhealthy;
            }
        }
        while self.log.len() >= REMEMBERED {
            self.log.pop_front();
        }
        self.log.push_back(result);
    }

    /// Returns the health of a container that has just been started again: nothing is known of it yet, but what was
    /// found before can still be read.
    pub(crate) fn begin_again(&self) -> Self {
        Self {
            log: self.log.clone(),
            ..Self::default()
        }
    }

    /// Returns the words for `ps`.
    pub(crate) fn text(&self) -> &'static str {
        match self.status {
            HealthStatus::Starting => "health: starting",
            status => status.word(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(exit_code: i32, after: u64) -> HealthResult {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(after);
        HealthResult {
            start,
            end: start,
            exit_code,
            output: String::new(),
        }
    }

    fn note(health: &mut Health, exit_code: i32, after: u64) -> (HealthStatus, u32) {
        let period = Duration::from_secs(10);
        health.note(result(exit_code, after), 3, SystemTime::UNIX_EPOCH, period);
        (health.status, health.failing_streak)
    }

    #[test]
    fn failures_count_after_the_start_period_and_a_success_ends_the_row() {
        use HealthStatus::{Healthy, Starting, Unhealthy};
        let mut health = Health::default();
        assert_eq!(note(&mut health, 1, 1), (Starting, 0));
        assert_eq!(note(&mut health, 1, 10), (Starting, 1));
        assert_eq!(note(&mut health, 0, 11), (Healthy, 0));
        assert_eq!(note(&mut health, 1, 12), (Healthy, 1));
        assert_eq!(note(&mut health, -1, 13), (Healthy, 2));
        assert_eq!(note(&mut health, 1, 14), (Unhealthy, 3));
        assert_eq!(note(&mut health, 0, 15), (Healthy, 0));
        assert_eq!(health.log.len(), REMEMBERED);
        assert_eq!(health.log[0].start, result(0, 11).start);
    }

    #[test]
    fn once_well_failures_count_even_in_the_start_period() {
        let mut health = Health::default();
        note(&mut health, 0, 1);
        assert_eq!(note(&mut health, 1, 2), (HealthStatus::Healthy, 1));
    }
}
