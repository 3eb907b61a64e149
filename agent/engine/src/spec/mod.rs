//! Builds the OCI runtime specification of a container out of options that were checked before.
//! Defaults are Docker's. What the kernel lacks is the runtime's to find out.

pub(crate) mod cgroup;
mod devices;
mod mounts;
mod paths;
mod process;
mod security;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use oci_spec::OciSpecError;
use oci_spec::runtime::{
    Capabilities, Linux, LinuxBuilder, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType,
    RootBuilder, Spec, SpecBuilder,
};

pub use devices::DeviceError;
pub(crate) use devices::DeviceRequest;
pub(crate) use mounts::{FileMounts, UserMount};
pub(crate) use paths::{masked as masked_paths, read_only as read_only_paths};
pub(crate) use process::{ProcessInput, process};
pub use security::SecurityError;
pub(crate) use security::SecurityOptions;

use crate::create::bind::Tmpfs;
use crate::options::HostOptions;

/// Version of the specification that is written.
const OCI_VERSION: &str = "1.0.2";

/// Everything that a specification is made of.
#[derive(Debug)]
pub(crate) struct SpecInput<'a> {
    pub(crate) id: &'a str,
    pub(crate) process: ProcessInput<'a>,
    pub(crate) hostname: String,
    pub(crate) host: &'a HostOptions,
    pub(crate) security: &'a SecurityOptions,
    pub(crate) devices: &'a [DeviceRequest],
    pub(crate) network: NetworkNamespace,
    pub(crate) files: Option<FileMounts>,
    pub(crate) mounts: &'a [UserMount],
    pub(crate) tmpfs: &'a [Tmpfs],
    /// Whether the machine's cgroup hierarchy is the unified one.
    pub(crate) unified_cgroups: bool,
}

/// Where a container's network is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NetworkNamespace {
    /// The machine's own.
    Host,
    /// One that was made before.
    Path(PathBuf),
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
    let spec = SpecBuilder::default()
        .version(OCI_VERSION)
        .root(
            RootBuilder::default()
                .path("rootfs")
                .readonly(input.host.read_only_rootfs)
                .build()?,
        )
        .hostname(input.hostname.clone())
        .process(process(&input.process, input.security)?)
        .mounts(mounts::mounts(input)?)
        .linux(linux(input)?)
        .build()?;
    Ok(spec)
}

fn linux(input: &SpecInput<'_>) -> Result<Linux, SpecError> {
    let host = input.host;
    let mut linux = LinuxBuilder::default()
        .namespaces(namespaces(input)?)
        .cgroups_path(PathBuf::from(format!("/berth/{}", input.id)))
        .resources(cgroup::with_devices(host, input.devices)?)
        .devices(devices::nodes(host, input.devices)?)
        .rootfs_propagation("rprivate");
    if host.privileged {
        linux = linux
            .masked_paths(Vec::<String>::new())
            .readonly_paths(Vec::<String>::new());
    } else {
        linux = linux
            .masked_paths(paths::masked())
            .readonly_paths(paths::read_only());
    }
    if input.network != NetworkNamespace::Host {
        linux = linux.sysctl(HashMap::from([
            (
                "net.ipv4.ip_unprivileged_port_start".to_owned(),
                "0".to_owned(),
            ),
            (
                "net.ipv4.ping_group_range".to_owned(),
                "0 2147483647".to_owned(),
            ),
        ]));
    }
    Ok(linux.build()?)
}

fn namespaces(input: &SpecInput<'_>) -> Result<Vec<LinuxNamespace>, OciSpecError> {
    let plain = |kind| LinuxNamespaceBuilder::default().typ(kind).build();
    let mut namespaces = vec![
        plain(LinuxNamespaceType::Mount)?,
        plain(LinuxNamespaceType::Uts)?,
        plain(LinuxNamespaceType::Ipc)?,
        plain(LinuxNamespaceType::Pid)?,
    ];
    if let NetworkNamespace::Path(path) = &input.network {
        let network = LinuxNamespaceBuilder::default()
            .typ(LinuxNamespaceType::Network)
            .path(path.clone())
            .build()?;
        namespaces.push(network);
    }
    // As Docker: private where the hierarchy is unified, the machine's where it is not.
    if input.unified_cgroups && !input.host.privileged {
        namespaces.push(plain(LinuxNamespaceType::Cgroup)?);
    }
    Ok(namespaces)
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
