//! Networks of containers: a bridge, addresses, address translation and published ports.
//!
//! [`Network::attach`] gives a container its network namespace before it starts and
//! [`Network::detach`] takes everything back after it has ended. Interfaces are made by rtnetlink and
//! the firewall by nftables, both spoken directly to the kernel: no program of the host is run.
//!
//! The kernel's objects outlive the agent, so that a container's traffic flows on while the agent is
//! down; [`Network::restore`] brings both together again. All of it happens in the network namespace
//! that the agent itself runs in.
//!
//! Not here: names of containers, `/etc/hosts`, and networks that users define.

mod attach;
mod bridge;
mod detach;
mod firewall;
mod lease;
mod lease_files;
mod namespace;
mod netlink;
mod network;
mod ports;
mod request;
mod resolver;
mod restore;
mod subnet;

pub use network::{Network, NetworkConfig, OpenError};
pub use request::{
    AttachError, AttachRequest, Attachment, DetachError, HostPort, Interface, NetworkMode,
    ParseProtocolError, PortRequest, Protocol, PublishedPort, RestoreError,
};
pub use resolver::Resolver;
pub use subnet::{ParseSubnetError, Subnet};
