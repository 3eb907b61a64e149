//! What is remembered of each volume.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use berth_agent_state::Record;
use serde::{Deserialize, Serialize};

/// A volume as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// The directory to mount into containers.
    pub mountpoint: PathBuf,
    /// When it was created.
    pub created_at: SystemTime,
    /// What its creator attached to it.
    pub labels: BTreeMap<String, String>,
    /// Whether the agent made up the name.
    pub anonymous: bool,
    /// Options for the driver, as its creator gave them.
    pub options: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct VolumeRecord {
    /// Milliseconds since 1970.
    pub(crate) created_at_ms: u64,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) anonymous: bool,
    pub(crate) stage: Stage,
    #[serde(default)]
    pub(crate) options: BTreeMap<String, String>,
}

/// Where a volume is in its life. All but the first are only met after an agent was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// In order.
    Ready,
    /// An image's files are being copied into it, so what it has is of no value yet.
    Filling,
    /// On its way out.
    Removing,
}

impl Record for VolumeRecord {
    const TABLE: &'static str = "volumes";
    const VERSION: u32 = 1;
}

// === impl VolumeRecord ===

impl VolumeRecord {
    pub(crate) fn new(
        labels: BTreeMap<String, String>,
        options: BTreeMap<String, String>,
        anonymous: bool,
    ) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now_ms = now.unwrap_or_default().as_millis();
        Self {
            created_at_ms: u64::try_from(now_ms).unwrap_or(u64::MAX),
            labels,
            anonymous,
            stage: Stage::Ready,
            options,
        }
    }

    pub(crate) fn describe(self, name: String, root: &Path) -> Volume {
        Volume {
            mountpoint: mountpoint(root, &name),
            name,
            created_at: SystemTime::UNIX_EPOCH + Duration::from_millis(self.created_at_ms),
            labels: self.labels,
            anonymous: self.anonymous,
            options: self.options,
        }
    }
}

pub(crate) fn mountpoint(root: &Path, name: &str) -> PathBuf {
    root.join(name).join("_data")
}
