//! `--mount`: a mount with every property named.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A mount as the long form describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountOptions {
    /// `bind`, `volume` or `tmpfs`.
    pub kind: String,
    /// Path on the machine, or name of a volume.
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// Cannot be written to.
    pub read_only: bool,
    /// Accepted for old clients; has no meaning on Linux.
    pub consistency: String,
    /// Propagation of a bind; empty: `rprivate`.
    pub bind_propagation: String,
    /// Leaves out what is mounted below the source.
    pub bind_non_recursive: bool,
    /// Makes the source when it is missing.
    pub bind_create_mountpoint: bool,
    /// What is mounted below may be written to.
    pub bind_read_only_non_recursive: bool,
    /// Fails where the kernel cannot make everything below read-only.
    pub bind_read_only_force_recursive: bool,
    /// Does not fill an empty volume from the image.
    pub volume_no_copy: bool,
    /// Labels for a volume that is made.
    pub volume_labels: BTreeMap<String, String>,
    /// Driver for a volume that is made.
    pub volume_driver: String,
    /// Options for that driver.
    pub volume_driver_options: BTreeMap<String, String>,
    /// Path in the volume to mount instead of its root.
    pub volume_subpath: String,
    /// Size in bytes; 0: no limit.
    pub tmpfs_size_bytes: i64,
    /// Permission bits; nothing: 1777 octal.
    pub tmpfs_mode: Option<u32>,
}
