//! How much of a log is kept.

use serde::{Deserialize, Serialize};

/// How much of a container's log is kept.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogPolicy {
    /// Bytes after which a segment is followed by a new one; nothing: never.
    pub max_bytes: Option<u64>,
    /// Segments that are kept, the one that is written included; 0 counts as 1.
    pub max_files: u32,
    /// Whether complete segments are compressed.
    pub compress: bool,
    /// Whether nobody reads the log once it was written: it is no more than the way to attached clients.
    pub transient: bool,
}

impl LogPolicy {
    /// Size of segments of a log that nobody keeps.
    const TRANSIENT_BYTES: u64 = 1 << 20;

    /// Keeps no log, beyond what attached clients have not been sent yet.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            max_bytes: Some(Self::TRANSIENT_BYTES),
            transient: true,
            ..Self::default()
        }
    }

    /// Returns how many complete segments are kept.
    pub(super) fn n_complete(&self) -> usize {
        let kept = usize::try_from(self.max_files).unwrap_or(usize::MAX);
        kept.saturating_sub(1)
    }
}

impl Default for LogPolicy {
    /// Keeps everything.
    fn default() -> Self {
        Self {
            max_bytes: None,
            max_files: 1,
            compress: false,
            transient: false,
        }
    }
}
