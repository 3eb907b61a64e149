//! Builds the OCI runtime specification of a container out of options that were checked before.
//! Defaults are Docker's. What the kernel lacks is the runtime's to find out.

pub(crate) mod cgroup;
mod devices;
mod mounts;
mod namespaces;
mod paths;
mod process;
mod security;
mod sysctls;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use oci_spec::OciSpecError;
use oci_spec::runtime::{Capabilities, Linux, LinuxBuilder, RootBuilder, Spec, SpecBuilder};

pub use devices::DeviceError;
pub(crate) use devices::{DeviceRequest, DeviceRule};
pub(crate) use mounts::{FileMounts, SharedMemory, UserMount};
pub(crate) use namespaces::Neighbours;
pub(crate) use paths::{masked as masked_paths, read_only as read_only_paths};
pub(crate) use process::{ProcessInput, process};
pub use security::SecurityError;
pub(crate) use security::SecurityOptions;

use crate::create::mount::Tmpfs;
use crate::options::HostOptions;

/// Version of the specification that is written.
const OCI_VERSION: &str = "1.0.2";

/// Everything that a specification is made of.
#[derive(Debug)]
pub(crate) struct SpecInput<'a> {
    pub(crate) id: &'a str,
    pub(crate) process: ProcessInput<'a>,
    pub(crate) hostname: String,
    pub(crate) domainname: &'a str,
    pub(crate) host: &'a HostOptions,
    pub(crate) security: &'a SecurityOptions,
    pub(crate) devices: &'a [DeviceRequest],
    pub(crate) network: NetworkNamespace,
    pub(crate) files: Option<FileMounts>,
    pub(crate) mounts: &'a [UserMount],
    pub(crate) tmpfs: &'a [Tmpfs],
    /// Whether the machine's cgroup hierarchy is the unified one.
    pub(crate) unified_cgroups: bool,
    /// Whether the kernel can show a container its own cgroups only.
    pub(crate) has_cgroup_namespaces: bool,
    pub(crate) neighbours: Neighbours,
    pub(crate) shared_memory: SharedMemory,
}

/// Where a container's network is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NetworkNamespace {
    /// The machine's own.
    Host,
    /// One that was made before.
    Path(PathBuf),
    /// That of another container, by its first process.
    Neighbour(i32),
}

/// The specification cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// It is not complete.
    #[error("building the runtime specification")]
    Incomplete(#[from] OciSpecError),
    /// A device that is to be limited cannot be looked at.
    #[error("stat {path}")]
    BlockDevice {
        /// The device.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Returns the specification.
pub(crate) fn build(input: &SpecInput<'_>) -> Result<Spec, SpecError> {
    let mut process = process(&input.process, input.security)?;
    process.set_oom_score_adj(Some(input.host.oom_score_adj));
    let mut spec = SpecBuilder::default()
        .version(OCI_VERSION)
        .root(
            RootBuilder::default()
                .path("rootfs")
                .readonly(input.host.read_only_rootfs)
                .build()?,
        )
        .process(process)
        .mounts(mounts::mounts(input)?)
        .linux(linux(input)?);
    // The machine's name is not a container's to change.
    if input.host.uts_mode != "host" {
        spec = spec.hostname(input.hostname.clone());
    }
    if !input.host.annotations.is_empty() {
        let all = input.host.annotations.clone();
        spec = spec.annotations(all.into_iter().collect::<HashMap<_, _>>());
    }
    let mut spec = spec.build()?;
    if input.host.uts_mode == "host" {
        spec.set_hostname(None);
    }
    Ok(spec)
}

fn linux(input: &SpecInput<'_>) -> Result<Linux, SpecError> {
    let host = input.host;
    let (masked, readonly) = if host.privileged {
        (Vec::new(), Vec::new())
    } else {
        let masked = host.masked_paths.clone();
        let readonly = host.readonly_paths.clone();
        (
            masked.unwrap_or_else(paths::masked),
            readonly.unwrap_or_else(paths::read_only),
        )
    };
    Ok(LinuxBuilder::default()
        .namespaces(namespaces::namespaces(input)?)
        .cgroups_path(cgroup::path(input.id, &host.resources.cgroup_parent))
        .resources(cgroup::with_devices(host, input.devices)?)
        .devices(devices::nodes(host, input.devices)?)
        .rootfs_propagation("rprivate")
        .masked_paths(masked)
        .readonly_paths(readonly)
        .sysctl(sysctls::sysctls(input))
        .build()?)
}

/// Returns the capabilities that a container with these options is bounded by.
pub(crate) fn capabilities(
    host: &HostOptions,
) -> Result<Capabilities, berth_agent_runtime::capabilities::UnknownCapability> {
    if host.privileged {
        return Ok(berth_agent_runtime::capabilities::all());
    }
    berth_agent_runtime::capabilities::adjust(&host.cap_add, &host.cap_drop)
}
