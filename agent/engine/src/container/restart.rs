//! When a container that ended is started again: the policies and the pauses between the tries.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::options::RestartPolicy;

/// Pause before the first try, as Docker's.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Pause that is not exceeded.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Having run so long, a container counts as one that starts well.
const RUNS_WELL: Duration = Duration::from_secs(10);

/// What is on record of a container's starts by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RestartRecord {
    /// Starts by itself since somebody started it.
    pub(crate) count: u32,
    /// Pause before the next start, or before the last one.
    pause_millis: u64,
    /// Somebody wants it to be down.
    pub(crate) stopped_by_hand: bool,
}

/// When a container is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    No,
    OnFailure {
        /// 0: no end of tries.
        most: u32,
    },
    Always,
    UnlessStopped,
}

/// A policy makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestartPolicyError {
    /// A number of tries where there is none.
    #[error("invalid restart policy: maximum retry count can only be used with 'on-failure'")]
    CountWithoutFailure,
    /// A number of tries where there is none, which would make no sense anywhere.
    #[error(
        "invalid restart policy: maximum retry count can only be used with 'on-failure' and cannot be negative"
    )]
    NegativeCountWithoutFailure,
    /// Less than no tries.
    #[error("invalid restart policy: maximum retry count cannot be negative")]
    NegativeCount,
    /// No such policy.
    #[error(
        "invalid restart policy: unknown policy '{0}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
    )]
    Unknown(String),
    /// What vanishes is not started again.
    #[error("can't create 'AutoRemove' container with restart policy")]
    AutoRemove,
}

// === impl Policy ===

impl Policy {
    /// Reads a policy.
    pub(crate) fn read(policy: &RestartPolicy) -> Result<Self, RestartPolicyError> {
        let count = policy.maximum_retry_count;
        let known = match policy.name.as_str() {
            "on-failure" if count < 0 => return Err(RestartPolicyError::NegativeCount),
            "on-failure" => {
                let most = u32::try_from(count).unwrap_or(u32::MAX);
                return Ok(Self::OnFailure { most });
            }
            "" | "no" => Self::No,
            "always" => Self::Always,
            "unless-stopped" => Self::UnlessStopped,
            other => return Err(RestartPolicyError::Unknown(other.to_owned())),
        };
        match count {
            0 => Ok(known),
            1.. => Err(RestartPolicyError::CountWithoutFailure),
            _ => Err(RestartPolicyError::NegativeCountWithoutFailure),
        }
    }

    /// Reads a policy of a container that exists; it was checked at creation.
    pub(crate) fn of(policy: &RestartPolicy) -> Self {
        Self::read(policy).unwrap_or(Self::No)
    }

    /// Checks the policy of a new container.
    pub(crate) fn check(
        policy: &RestartPolicy,
        auto_remove: bool,
    ) -> Result<(), RestartPolicyError> {
        if Self::read(policy)? != Self::No && auto_remove {
            return Err(RestartPolicyError::AutoRemove);
        }
        Ok(())
    }

    /// Whether a container that ended with `code` after `count` starts by itself is started again.
    fn wants(self, code: i32, count: u32) -> bool {
        match self {
            Self::No => false,
            Self::OnFailure { most } => code != 0 && (most == 0 || count < most),
            Self::Always | Self::UnlessStopped => true,
        }
    }
}

// === impl RestartRecord ===

impl RestartRecord {
    /// Decides after an end whether the container is started again; notes it and returns the pause.
    pub(crate) fn decide(
        &mut self,
        policy: Policy,
        code: i32,
        ran_for: Duration,
    ) -> Option<Duration> {
        if self.stopped_by_hand || !policy.wants(code, self.count) {
            return None;
        }
        let last = Duration::from_millis(self.pause_millis);
        let pause = if ran_for >= RUNS_WELL || last.is_zero() {
            FIRST_PAUSE
        } else {
            (last * 2).min(LONGEST_PAUSE)
        };
        self.pause_millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.count = self.count.saturating_add(1);
        Some(pause)
    }

    /// Decides after the machine's boot whether a container that has run before is started.
    pub(crate) fn decide_at_boot(&mut self, policy: Policy, code: i32) -> bool {
        let starts = match policy {
            // What was stopped by hand too, as Docker does at its start.
            Policy::Always => true,
            Policy::UnlessStopped | Policy::OnFailure { .. } | Policy::No => {
                !self.stopped_by_hand && policy.wants(code, self.count)
            }
        };
        if starts {
            *self = Self {
                count: self.count,
                ..Self::default()
            };
        }
        starts
    }

    /// Returns the pause that was decided on last.
    pub(crate) fn pause(&self) -> Duration {
        Duration::from_millis(self.pause_millis)
    }

    /// Somebody starts it: all is forgotten.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, count: i64) -> Result<Policy, String> {
        let policy = RestartPolicy {
            name: name.to_owned(),
            maximum_retry_count: count,
        };
        Policy::read(&policy).map_err(|error| error.to_string())
    }

    #[test]
    fn policies_are_read_and_refused_in_dockers_words() {
        assert_eq!(policy("", 0), Ok(Policy::No));
        assert_eq!(policy("no", 0), Ok(Policy::No));
        assert_eq!(policy("on-failure", 3), Ok(Policy::OnFailure { most: 3 }));
        for (name, count, sentence) in [
            (
                "always",
                1,
                "maximum retry count can only be used with 'on-failure'",
            ),
            (
                "no",
                -1,
                "maximum retry count can only be used with 'on-failure' and cannot be negative",
            ),
            ("on-failure", -1, "maximum retry count cannot be negative"),
            (
                "sometimes",
                0,
                "unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
            ),
        ] {
            let expected = format!("invalid restart policy: {sentence}");
            assert_eq!(policy(name, count), Err(expected));
        }
        let always = RestartPolicy {
            name: "always".to_owned(),
            ..RestartPolicy::default()
        };
        assert_eq!(
            Policy::check(&always, true),
            Err(RestartPolicyError::AutoRemove)
        );
        assert_eq!(Policy::check(&RestartPolicy::default(), true), Ok(()));
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_begin_anew_after_a_good_run() {
        let mut record = RestartRecord::default();
        let short = Duration::from_secs(1);
        let pauses: Vec<u128> = (0..12)
            .filter_map(|_| record.decide(Policy::Always, 0, short))
            .map(|pause| pause.as_millis())
            .collect();
        let expected = [
            100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000,
        ];
        assert_eq!(pauses, expected);
        assert_eq!(record.count, 12);
        assert_eq!(
            record.decide(Policy::Always, 0, RUNS_WELL),
            Some(FIRST_PAUSE)
        );
    }

    #[test]
    fn failures_are_counted_and_a_stop_by_hand_is_obeyed() {
        let mut record = RestartRecord::default();
        let twice = Policy::OnFailure { most: 2 };
        assert_eq!(record.decide(twice, 0, Duration::ZERO), None);
        assert!(record.decide(twice, 1, Duration::ZERO).is_some());
        assert!(record.decide(twice, 1, Duration::ZERO).is_some());
        assert_eq!(record.decide(twice, 1, Duration::ZERO), None);
        record.reset();
        record.stopped_by_hand = true;
        for policy in [Policy::Always, Policy::UnlessStopped, twice] {
            assert_eq!(record.clone().decide(policy, 1, Duration::ZERO), None);
        }
        assert!(record.clone().decide_at_boot(Policy::Always, 0));
        assert!(!record.clone().decide_at_boot(Policy::UnlessStopped, 0));
        record.stopped_by_hand = false;
        assert!(record.clone().decide_at_boot(Policy::UnlessStopped, 0));
        assert!(!record.clone().decide_at_boot(twice, 0));
        assert!(record.decide_at_boot(twice, 255));
    }
}
