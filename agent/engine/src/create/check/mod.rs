//! Checks of what is asked of a new container, before anything of it is made. Texts are Docker's.

mod device_requests;
pub(crate) mod extra_host;
mod identity;
mod network;
mod policy;
pub(crate) mod sysctl;
pub(crate) mod ulimit;

use crate::class::{Classified, ErrorClass};
use crate::container::record::MergedConfig;
use crate::options::ContainerOptions;
use crate::spec::{DeviceError, DeviceRule};

pub(super) use identity::check_hostname;
pub(crate) use network::parse_mac;
pub use sysctl::SysctlError;
pub use ulimit::UlimitError;

/// Something asked for cannot be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOption {
    /// Two options exclude each other.
    #[error("conflicting options: {0}")]
    Conflict(&'static str),
    /// No such way to share a namespace.
    #[error("invalid {namespace} mode: {mode}")]
    Mode {
        /// The namespace.
        namespace: &'static str,
        /// What was given.
        mode: String,
    },
    /// Nobody to share the network with.
    #[error("invalid container format container:<name|id>")]
    NetworkNeighbour,
    /// Less than nothing.
    #[error("SHM size can not be less than 0")]
    SharedMemory,
    /// Not from -1000 to 1000.
    #[error("Invalid value {0}, range for oom score adj is [-1000, 1000]")]
    OomScore(i32),
    /// Of other systems.
    #[error("invalid isolation '{0}' on linux")]
    Isolation(String),
    /// The filesystem cannot limit a directory.
    #[error("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")]
    StorageOption,
    /// No driver for devices.
    #[error("could not select device driver \"{driver}\" with capabilities: {capabilities}")]
    DeviceDriver {
        /// The driver.
        driver: String,
        /// What the devices should do.
        capabilities: String,
    },
    /// An annotation without a name.
    #[error("invalid Annotations: the empty string is not permitted as an annotation key")]
    Annotation,
    /// A variable without a name.
    #[error("invalid environment variable: {0}")]
    Environment(String),
    /// The kernel would see another text than the one that was given.
    #[error("invalid {0}: contains a NUL character")]
    Nul(&'static str),
    /// Not `name:address`.
    #[error("bad format for add-host: \"{0}\"")]
    ExtraHost(String),
    /// Not an address.
    #[error("invalid IP address in add-host: \"{0}\"")]
    ExtraHostAddress(String),
    /// Only networks that users made have addresses and names to choose.
    #[error("invalid config for network {network}: invalid endpoint settings:\n{reason}")]
    Endpoint {
        /// The network.
        network: String,
        /// What it does not have.
        reason: &'static str,
    },
    /// Not an address of an interface.
    #[error("invalid MAC address: {0}")]
    Mac(String),
    /// Two addresses for one interface.
    #[error(
        "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty"
    )]
    TwoMacs,
    /// Not a domain.
    #[error("invalid domain: {0}")]
    Domain(String),
    /// A kernel parameter that is not the container's own.
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    /// A limit of a process makes no sense.
    #[error(transparent)]
    Ulimit(#[from] UlimitError),
}

/// Checks everything that needs no look at anything.
pub(super) fn check(
    options: &ContainerOptions,
    config: &MergedConfig,
) -> Result<(), InvalidOption> {
    identity::check(options, config)?;
    policy::check(&options.host)?;
    network::check(options, config)?;
    sysctl::check(&options.host)?;
    device_requests::check(&options.host.device_requests)?;
    for limit in &options.host.resources.ulimits {
        ulimit::check(limit)?;
    }
    Ok(())
}

/// Checks the rules for devices.
pub(super) fn check_device_rules(rules: &[String]) -> Result<(), DeviceError> {
    rules
        .iter()
        .try_for_each(|text| DeviceRule::parse(text).map(drop))
}

impl Classified for InvalidOption {
    fn class(&self) -> ErrorClass {
        ErrorClass::InvalidArgument
    }

    fn reason(&self) -> &'static str {
        "invalid-argument"
    }
}

#[cfg(test)]
mod tests;
