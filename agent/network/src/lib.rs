//! Networks of containers: bridges and other kinds, addresses, address translation, published ports and
//! names.
//!
//! [`Network::attach`] gives a container its network namespace before it starts and
//! [`Network::detach`] takes everything back after it has ended; in between it can be connected to
//! further networks. Interfaces are made by rtnetlink and the firewall by nftables, both spoken
//! directly to the kernel: no program of the host is run.
//!
//! The kernel's objects outlive the agent, so that a container's traffic flows on while the agent is
//! down; [`Network::restore`] brings both together again. All of it happens in the network namespace
//! that the agent itself runs in.
//!
//! Not here: `/etc/hosts`, and the records of networks that users define.

mod addresses;
mod attach;
mod change;
mod definition;
mod detach;
mod endpoint;
mod firewall;
mod host;
mod lease;
mod lease_files;
mod names;
mod namespace;
mod netlink;
mod network;
mod ports;
mod request;
mod resolver;
mod restore;
mod subnet;

pub use addresses::AddressError;
pub use definition::{
    BridgeOptions, DEFAULT_NETWORK, Definition, Driver, IpvlanMode, MacvlanMode, Parent, Pool,
};
pub use network::{Network, NetworkConfig, OpenError};
pub use request::{
    AttachError, AttachRequest, Attachment, DetachError, Endpoint, EndpointRequest, HostPort,
    Interface, NetworkMode, ParseProtocolError, PortRequest, Protocol, PublishedPort, RestoreError,
};
pub use resolver::Resolver;
pub use subnet::{ParseSubnetError, Subnet};
