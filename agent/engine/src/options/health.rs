//! How it is found out whether a container is well.

use serde::{Deserialize, Serialize};

/// A health check; what is zero or empty is taken from the image, then from Docker's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthOptions {
    /// `NONE`, `CMD` and words, or `CMD-SHELL` and a line; empty: the image's.
    pub test: Vec<String>,
    /// Time between checks.
    pub interval_nanos: i64,
    /// Time that a check may take.
    pub timeout_nanos: i64,
    /// Failures in this time after the start do not count.
    pub start_period_nanos: i64,
    /// Time between checks in the start period.
    pub start_interval_nanos: i64,
    /// Failures in a row that make the container unhealthy.
    pub retries: i64,
}
