//! Why something about a network cannot be, in Docker's words.

use std::net::IpAddr;

use berth_agent_network::{AttachError, DetachError};
use berth_agent_state::StateError;

use crate::class::{Classified, ErrorClass};
use crate::container::containers::LookupError;
use crate::filters::FilterError;
use crate::start::error::network_failure;

/// Something about a network cannot be.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// There is none.
    #[error("network {0} not found")]
    NotFound(String),
    /// Several are meant.
    #[error("network {text} is ambiguous ({n_matches} matches found based on ID prefix)")]
    Ambiguous {
        /// As it was given.
        text: String,
        /// How many.
        n_matches: usize,
    },
    /// There is no such container.
    #[error(transparent)]
    Container(#[from] LookupError),
    /// A filter is wrong.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The name is taken.
    #[error("network with name {0} already exists")]
    Exists(String),
    /// Something asked for is wrong.
    #[error("{0}")]
    Invalid(String),
    /// Something asked for is not to be had, whoever asks.
    #[error("{0}")]
    Forbidden(String),
    /// No such driver.
    #[error("could not find plugin {0} in v1 plugin registry: plugin not found")]
    Driver(String),
    /// The subnet is in use.
    #[error("invalid pool request: Pool overlaps with other one on this address space")]
    Overlap,
    /// No subnet is free.
    #[error("all predefined address pools have been fully subnetted")]
    NoFreeSubnet,
    /// Containers are on it.
    #[error("error while removing network: network {name} has active endpoints ({endpoints})")]
    InUse {
        /// The network.
        name: String,
        /// The containers: `name:"…" id:"…"`.
        endpoints: String,
    },
    /// It lends its settings to another.
    #[error("configuration network {0:?} is in use")]
    Lends(String),
    /// The container is on it.
    #[error("endpoint with name {container} already exists in network {network}")]
    AlreadyConnected {
        /// The container.
        container: String,
        /// The network.
        network: String,
    },
    /// The container is not on it.
    #[error("container {container} is not connected to network {network}")]
    NotConnected {
        /// The container's id.
        container: String,
        /// The network.
        network: String,
    },
    /// The container is going away.
    #[error(
        "container {0} is marked for removal and cannot be connected or disconnected to the network"
    )]
    BeingRemoved(String),
    /// The address cannot be had.
    #[error("{reason}")]
    Address {
        /// Docker's words for why.
        reason: String,
        /// The address.
        address: Option<IpAddr>,
    },
    /// The kernel does not have it so.
    #[error("{}", network_failure(.0))]
    Attach(AttachError),
    /// The kernel does not have it so.
    #[error(transparent)]
    Make(AttachError),
    /// The kernel does not have it so.
    #[error(transparent)]
    Detach(#[from] DetachError),
    /// The subnets of the machine cannot be listed.
    #[error("listing the machine's networks")]
    Subnets(#[source] std::io::Error),
    /// The database failed.
    #[error("recording the network")]
    State(#[from] StateError),
}

impl Classified for NetworkError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::NotFound(_) => ErrorClass::NotFound,
            Self::Container(error) => error.class(),
            Self::Exists(_) => ErrorClass::AlreadyExists,
            Self::Filter(_) | Self::Ambiguous { .. } | Self::Invalid(_) | Self::Address { .. } => {
                ErrorClass::InvalidArgument
            }
            Self::Driver(_) => ErrorClass::NotFound,
            Self::Forbidden(_)
            | Self::Overlap
            | Self::InUse { .. }
            | Self::Lends(_)
            | Self::AlreadyConnected { .. }
            | Self::NotConnected { .. }
            | Self::BeingRemoved(_) => ErrorClass::Conflict,
            Self::NoFreeSubnet | Self::Attach(AttachError::Address(_)) => ErrorClass::Exhausted,
            Self::Make(AttachError::NoSuchParent(_) | AttachError::InterfaceInUse(_)) => {
                ErrorClass::InvalidArgument
            }
            Self::State(error) if error.is_disk_full() => ErrorClass::Exhausted,
            Self::Attach(_)
            | Self::Make(_)
            | Self::Detach(_)
            | Self::Subnets(_)
            | Self::State(_) => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "network-not-found",
            Self::Container(error) => error.reason(),
            Self::Exists(_) => "network-exists",
            Self::Filter(_) => "invalid-filter",
            Self::InUse { .. } | Self::Lends(_) => "network-in-use",
            Self::Forbidden(_) => "forbidden",
            Self::AlreadyConnected { .. } => "already-connected",
            Self::NotConnected { .. } => "not-connected",
            Self::Overlap | Self::NoFreeSubnet => "no-free-subnet",
            Self::State(error) if error.is_disk_full() => "disk-full",
            _ if self.class() == ErrorClass::InvalidArgument => "invalid-argument",
            _ => "network-failed",
        }
    }
}
