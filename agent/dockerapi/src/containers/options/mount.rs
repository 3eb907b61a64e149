//! Mounts in the long form.

use std::collections::BTreeMap;

use berth_agent_engine::MountOptions;
use serde::Deserialize;

/// A mount.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Mount {
    #[serde(rename = "Type")]
    kind: String,
    source: String,
    target: String,
    read_only: bool,
    consistency: String,
    bind_options: Bind,
    volume_options: Volume,
    tmpfs_options: Tmpfs,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Bind {
    propagation: String,
    non_recursive: bool,
    create_mountpoint: bool,
    read_only_non_recursive: bool,
    read_only_force_recursive: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Volume {
    no_copy: bool,
    labels: BTreeMap<String, String>,
    subpath: String,
    driver_config: Driver,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Driver {
    name: String,
    options: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Tmpfs {
    size_bytes: i64,
    mode: Option<u32>,
}

impl Mount {
    pub(super) fn into_options(self) -> MountOptions {
        let (bind, volume) = (self.bind_options, self.volume_options);
        MountOptions {
            kind: self.kind,
            source: self.source,
            target: self.target,
            read_only: self.read_only,
            consistency: self.consistency,
            bind_propagation: bind.propagation,
            bind_non_recursive: bind.non_recursive,
            bind_create_mountpoint: bind.create_mountpoint,
            bind_read_only_non_recursive: bind.read_only_non_recursive,
            bind_read_only_force_recursive: bind.read_only_force_recursive,
            volume_no_copy: volume.no_copy,
            volume_labels: volume.labels,
            volume_driver: volume.driver_config.name,
            volume_driver_options: volume.driver_config.options,
            volume_subpath: volume.subpath,
            tmpfs_size_bytes: self.tmpfs_options.size_bytes,
            tmpfs_mode: self.tmpfs_options.mode,
        }
    }
}
