//! Why a container does not start, in Docker's words and with Docker's exit codes.

use std::io;
use std::path::PathBuf;

use berth_agent_runtime::FailureKind;
use berth_agent_snapshots::SnapshotError;
use berth_agent_state::StateError;

use crate::class::{Classified, ErrorClass, command_exit_code, command_reason, with_causes};
use crate::container::containers::LookupError;
use crate::create::mount::InvalidMount;
use crate::create::rootfs::UserLookupError;
use crate::spec::{DeviceError, SecurityError, SpecError};
use crate::start::neighbours::NeighbourError;
use crate::streams::log_driver::LogDriverError;
use crate::volumes::UseError;

/// A container does not start. It stays as it was, with the failure noted.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no such container.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It is being removed.
    #[error("container is marked for removal and cannot be started")]
    BeingRemoved,
    /// It is frozen.
    #[error("cannot start a paused container, try unpause instead")]
    Paused,
    /// That it was started cannot be written.
    #[error("recording the start of the container")]
    State(#[source] StateError),
    /// Its filesystem cannot be had.
    #[error("opening the container's filesystem")]
    Snapshot(#[source] SnapshotError),
    /// The namespaces of another container cannot be joined.
    #[error(transparent)]
    Neighbour(#[from] NeighbourError),
    /// A volume cannot be had.
    #[error(transparent)]
    Volume(#[from] UseError),
    /// A mount cannot be made as it was asked for.
    #[error(transparent)]
    Mount(#[from] InvalidMount),
    /// A path in a volume cannot be had.
    #[error("cannot access path {path}")]
    Subpath {
        /// The path on the machine.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The machine's mount does not take part in propagation.
    #[error("path {path} is mounted on {place} but it is not a {kind} mount")]
    Propagation {
        /// The path on the machine.
        path: PathBuf,
        /// The mount that it is on.
        place: PathBuf,
        /// What it should be.
        kind: &'static str,
    },
    /// A container that it is linked to does not run.
    #[error("Cannot link to a non running container: /{other} AS {alias}")]
    LinkNotRunning {
        /// Name of the other.
        other: String,
        /// Names of the container and of the link.
        alias: String,
    },
    /// A container that it is linked to has no address.
    #[error("container {0} not attached to default bridge network")]
    LinkNotOnBridge(String),
    /// A bind mount's source cannot be made.
    #[error("error while creating mount source path '{path}'")]
    MountSource {
        /// The path on the machine.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A network that it is to be on is gone.
    #[error("failed to set up container networking: {0}")]
    NoNetwork(crate::create::network_request::PortError),
    /// Its network cannot be made.
    #[error("{}", network_sentence(.name, .cause))]
    Network {
        /// The container.
        name: String,
        /// What is wrong; the sentence says all of it.
        cause: berth_agent_network::AttachError,
    },
    /// Its network files cannot be written.
    #[error("writing the network files of the container")]
    Files(#[source] io::Error),
    /// Its user cannot be found out.
    #[error(transparent)]
    User(#[from] UserLookupError),
    /// A device is gone.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A security option is wrong.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The log driver or its options are wrong.
    #[error("failed to create task for container")]
    LogDriver(#[from] LogDriverError),
    /// The specification cannot be built.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The runtime is gone.
    #[error("unknown or invalid runtime name: {0}")]
    Runtime(String),
    /// The runtime failed.
    #[error("failed to start container")]
    Run(#[source] berth_agent_runtime::StartError),
}

fn network_sentence(name: &str, error: &berth_agent_network::AttachError) -> String {
    use berth_agent_network::AttachError;
    match error {
        AttachError::PortInUse { host_ip, port, .. } => format!(
            "failed to set up container networking: driver failed programming external connectivity on endpoint {name}: Bind for {} failed: port is already allocated",
            std::net::SocketAddr::new(*host_ip, *port)
        ),
        other => network_failure(other),
    }
}

/// Says why a container has no network, with all causes.
pub(crate) fn network_failure(error: &berth_agent_network::AttachError) -> String {
    let text = format!("failed to set up container networking: {error}");
    with_causes(text, std::error::Error::source(error))
}

impl StartError {
    /// Returns the exit code that Docker gives to a container that failed so.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        let code = match self {
            Self::Run(error) => command_exit_code(error.kind()),
            _ => None,
        };
        code.unwrap_or(128)
    }
}

impl Classified for StartError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Lookup(error) => error.class(),
            Self::Neighbour(error) => error.class(),
            Self::BeingRemoved | Self::Paused | Self::LinkNotRunning { .. } => ErrorClass::Conflict,
            Self::Snapshot(SnapshotError::DiskFull { .. }) => ErrorClass::Exhausted,
            Self::State(error) if error.is_disk_full() => ErrorClass::Exhausted,
            Self::User(UserLookupError::Unknown(_))
            | Self::Device(_)
            | Self::Security(_)
            | Self::LogDriver(_)
            | Self::Mount(_)
            | Self::Propagation { .. }
            | Self::LinkNotOnBridge(_)
            | Self::Runtime(_) => ErrorClass::InvalidArgument,
            Self::Run(error) => match error.kind() {
                FailureKind::CommandNotFound
                | FailureKind::CommandNotExecutable
                | FailureKind::WorkingDirectory => ErrorClass::InvalidArgument,
                FailureKind::DiskFull => ErrorClass::Exhausted,
                FailureKind::Other => ErrorClass::Internal,
            },
            Self::Network { cause, .. } => network_class(cause),
            Self::NoNetwork(_) => ErrorClass::NotFound,
            Self::Files(error) if error.kind() == io::ErrorKind::StorageFull => {
                ErrorClass::Exhausted
            }
            Self::Subpath { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ErrorClass::InvalidArgument
            }
            Self::State(_)
            | Self::Snapshot(_)
            | Self::Volume(_)
            | Self::Subpath { .. }
            | Self::MountSource { .. }
            | Self::Files(_)
            | Self::User(_)
            | Self::Spec(_) => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        use berth_agent_network::AttachError;
        match self {
            Self::Lookup(error) => error.reason(),
            Self::Neighbour(error) => error.reason(),
            Self::BeingRemoved | Self::Paused => "wrong-state",
            Self::Network {
                cause: AttachError::PortInUse { .. } | AttachError::NoFreePort { .. },
                ..
            } => "port-in-use",
            Self::Network { .. } => "network-failed",
            Self::NoNetwork(_) => "network-not-found",
            Self::User(UserLookupError::Unknown(_)) => "user-not-found",
            Self::Run(error) => command_reason(error.kind(), "start-failed"),
            _ if self.class() == ErrorClass::Exhausted => "disk-full",
            _ => "start-failed",
        }
    }
}

fn network_class(error: &berth_agent_network::AttachError) -> ErrorClass {
    use berth_agent_network::{AddressError, AttachError};
    match error {
        AttachError::PortInUse { .. } | AttachError::NoFreePort { .. } => ErrorClass::Conflict,
        AttachError::Address(AddressError::InUse) => ErrorClass::Conflict,
        AttachError::Address(AddressError::Exhausted(_)) => ErrorClass::Exhausted,
        AttachError::Address(AddressError::Outside(_))
        | AttachError::NoSuchAddress { .. }
        | AttachError::NoSuchParent(_)
        | AttachError::Ipv6 { .. } => ErrorClass::InvalidArgument,
        _ => ErrorClass::Internal,
    }
}
