//! How a container ended: the record that its supervisor leaves behind.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How and when a container ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Exit code as shells count it: 128 plus the signal's number for a process that a signal ended.
    pub code: i32,
    /// Signal that ended the container's first process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Whether the kernel killed something in the container for want of memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// When the container's command was executed.
    #[serde(serialize_with = "to_nanos", deserialize_with = "from_nanos")]
    pub started_at: SystemTime,
    /// When the container's first process ended.
    #[serde(serialize_with = "to_nanos", deserialize_with = "from_nanos")]
    pub finished_at: SystemTime,
    /// Length of the log when the container had ended; a longer or shorter file was damaged afterwards.
    #[serde(default)]
    pub log_length: u64,
    /// Bytes of output that could not be written to the log, because the disk was full for too long.
    #[serde(default)]
    pub output_lost: u64,
}

/// Returns nanoseconds since 1970, 0 for times before.
pub(crate) fn unix_nanos(time: SystemTime) -> u64 {
    let nanos = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// Returns the time that `nanos` nanoseconds since 1970 are.
pub(crate) fn from_unix_nanos(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

pub(crate) fn to_nanos<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(unix_nanos(*time))
}

pub(crate) fn from_nanos<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SystemTime, D::Error> {
    u64::deserialize(deserializer).map(from_unix_nanos)
}
