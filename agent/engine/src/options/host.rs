//! The part of the options that is about the machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{DriverDevices, LogOptions, MountOptions, PortBinding, ResourceOptions, RestartPolicy};

/// The part of the options that is about the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostOptions {
    /// `source:target[:options]` or `/target`.
    pub binds: Vec<String>,
    /// Ports to publish.
    pub port_bindings: Vec<PortBinding>,
    /// `""`, `default`, `bridge`, `host`, `none`, `container:NAME` or a network's name.
    pub network_mode: String,
    /// Removes the container and its anonymous volumes when it exits.
    pub auto_remove: bool,
    /// All capabilities and devices, nothing masked.
    pub privileged: bool,
    /// Capabilities to add, with or without `CAP_`, or `ALL`.
    pub cap_add: Vec<String>,
    /// Capabilities to drop.
    pub cap_drop: Vec<String>,
    /// `no-new-privileges`, `seccomp=unconfined`, `seccomp=<JSON>`, `apparmor=…`, `label=…`.
    pub security_opt: Vec<String>,
    /// Mounts the root filesystem read-only.
    pub read_only_rootfs: bool,
    /// Memory limit; 0: none.
    pub memory_bytes: i64,
    /// Billionths of a CPU; 0: no limit.
    pub nano_cpus: i64,
    /// Limit of processes; 0 or less: none.
    pub pids_limit: i64,
    /// Relative CPU weight; 0: the default.
    pub cpu_shares: i64,
    /// OCI runtime; empty: berth's own.
    pub runtime: String,
    /// Runs a small init as process 1; nothing: the agent's default.
    pub init: Option<bool>,
    /// Name servers.
    pub dns: Vec<String>,
    /// `host:address` lines for `/etc/hosts`.
    pub extra_hosts: Vec<String>,
    /// `host-path[:container-path[:rwm]]`.
    pub devices: Vec<String>,
    /// `target[:options]`.
    pub tmpfs: Vec<String>,
    /// Publishes every exposed port on a free port of the machine.
    pub publish_all_ports: bool,
    /// Size of `/dev/shm`; 0: 64 MiB.
    pub shm_size_bytes: i64,
    /// Further limits.
    pub resources: ResourceOptions,
    /// When it is started again by itself.
    pub restart_policy: RestartPolicy,
    /// Further groups of the process, names or numbers.
    pub group_add: Vec<String>,
    /// `""` or `host`.
    pub userns_mode: String,
    /// `""`, `host` or `container:NAME`.
    pub pid_mode: String,
    /// `""`, `none`, `private`, `shareable`, `host` or `container:NAME`.
    pub ipc_mode: String,
    /// `""` or `host`.
    pub uts_mode: String,
    /// `""`, `private` or `host`.
    pub cgroupns_mode: String,
    /// Options for the resolver.
    pub dns_options: Vec<String>,
    /// Domains that names are looked up in.
    pub dns_search: Vec<String>,
    /// `container[:alias]`.
    pub links: Vec<String>,
    /// `container[:ro|rw]`.
    pub volumes_from: Vec<String>,
    /// Mounts in the long form.
    pub mounts: Vec<MountOptions>,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Where the output goes.
    pub log: LogOptions,
    /// -1000 to 1000: how soon the process is killed when memory is out.
    pub oom_score_adj: i32,
    /// Annotations for the OCI runtime.
    pub annotations: BTreeMap<String, String>,
    /// Paths that are hidden; nothing: the usual ones.
    pub masked_paths: Option<Vec<String>>,
    /// Paths that cannot be written to; nothing: the usual ones.
    pub readonly_paths: Option<Vec<String>>,
    /// Driver of volumes that `binds` makes.
    pub volume_driver: String,
    /// Options for the root filesystem.
    pub storage_opt: BTreeMap<String, String>,
    /// `""` or `default`.
    pub isolation: String,
    /// Devices that drivers would choose.
    pub device_requests: Vec<DriverDevices>,
    /// File on the client that got the id; shown by inspect.
    pub container_id_file: String,
}

impl HostOptions {
    /// Size of `/dev/shm` when none is given, as Docker's.
    pub const DEFAULT_SHM_SIZE: i64 = 64 * 1024 * 1024;

    /// Returns the size of `/dev/shm` in bytes.
    #[must_use]
    pub fn shm_size(&self) -> i64 {
        if self.shm_size_bytes > 0 {
            self.shm_size_bytes
        } else {
            Self::DEFAULT_SHM_SIZE
        }
    }
}
