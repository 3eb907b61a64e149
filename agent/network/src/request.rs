//! What callers ask for and what they get.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;

use berth_agent_state::StateError;
use serde::{Deserialize, Serialize};

use crate::addresses::AddressError;
use crate::{Resolver, Subnet};

/// What a container wants from the network.
#[derive(Debug, Clone, Default)]
pub struct AttachRequest {
    /// The kind of network.
    pub mode: NetworkMode,
    /// The networks to be on, of [`NetworkMode::Bridge`]; empty: the default one. The first has the
    /// first interface.
    pub endpoints: Vec<EndpointRequest>,
    /// The ports to publish; only [`NetworkMode::Bridge`] can, the others ignore them.
    pub ports: Vec<PortRequest>,
    /// Servers for names that are not those of containers; empty: the machine's.
    pub nameservers: Vec<IpAddr>,
}

/// What a container wants of one network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointRequest {
    /// Key of the network; empty: the default one.
    pub network: String,
    /// Addresses to have, at most one of each family; others are chosen.
    pub addresses: Vec<IpAddr>,
    /// Further addresses of the link.
    pub link_local: Vec<IpAddr>,
    /// Hardware address of the interface; nothing: one that is made up.
    pub mac: Option<[u8; 6]>,
    /// Its names on the network, its own first.
    pub names: Vec<String>,
    /// Own names for other containers, whoever has the name at the moment.
    pub links: BTreeMap<String, String>,
    /// The network with the highest leads out to the world.
    pub priority: i64,
}

/// The kinds of network that a container can have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// Its own address on the agent's bridge, behind address translation.
    #[default]
    Bridge,
    /// Its own namespace with nothing but a loopback interface.
    None,
    /// The agent's own network namespace.
    Host,
}

/// The transport protocols whose ports can be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// One port to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRequest {
    /// The machine's address to publish on; `None` and `0.0.0.0` mean every address.
    pub host_ip: Option<IpAddr>,
    /// The machine's port.
    pub host_port: HostPort,
    /// The port inside the container.
    pub container_port: u16,
    /// The transport protocol.
    pub protocol: Protocol,
}

/// Which port of the machine to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPort {
    /// Any free one.
    Any,
    /// This one.
    Exactly(u16),
    /// The first free one of a range.
    Within {
        /// The lowest port to try.
        first: u16,
        /// The highest port to try.
        last: u16,
    },
}

/// A port that is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The machine's address, `0.0.0.0` or `::` for every address of the family.
    pub host_ip: IpAddr,
    /// The machine's port.
    pub host_port: u16,
    /// The port inside the container.
    pub container_port: u16,
    /// The transport protocol.
    pub protocol: Protocol,
}

/// A container's place on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The kind of network.
    pub mode: NetworkMode,
    /// The namespace's file, for `setns` and for an OCI spec; `None` means the agent's own namespace.
    pub netns: Option<PathBuf>,
    /// The container's first interface, if it has one with an IPv4 address and a way out.
    pub interface: Option<Interface>,
    /// Its places on networks.
    pub endpoints: Vec<Endpoint>,
    /// The ports that are published.
    pub ports: Vec<PublishedPort>,
    /// What belongs into the container's `resolv.conf`.
    pub dns: Resolver,
}

/// A container's place on one network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Key of the network.
    pub network: String,
    /// The name of the interface that the container sees.
    pub interface: String,
    /// Its addresses and the networks that they lie in.
    pub addresses: Vec<(IpAddr, Subnet)>,
    /// The addresses that lead out of the network.
    pub gateways: Vec<IpAddr>,
    /// Its hardware address, unless it shares that of the parent.
    pub mac: Option<[u8; 6]>,
    /// Its names on the network.
    pub names: Vec<String>,
}

/// A container's interface on the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface {
    /// Its address.
    pub ip: Ipv4Addr,
    /// The length of the subnet's prefix.
    pub prefix: u8,
    /// The bridge's address, which the default route goes through.
    pub gateway: Ipv4Addr,
    /// Its hardware address.
    pub mac: [u8; 6],
}

/// The reasons why a container gets no network.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The machine's port is taken.
    #[error(
        "port {port}/{protocol} on {host_ip} is in use by {}",
        holder.as_deref().map_or_else(|| "another program of the machine".to_owned(), |id| format!("container {id}"))
    )]
    PortInUse {
        /// The address that was asked for.
        host_ip: IpAddr,
        /// The port that was asked for.
        port: u16,
        /// Its protocol.
        protocol: Protocol,
        /// The container that publishes it, unless it belongs to some other program.
        holder: Option<String>,
    },
    /// All ports of the range are taken.
    #[error("no free port between {first} and {last}/{protocol} on {host_ip}")]
    NoFreePort {
        /// The address that was asked for.
        host_ip: IpAddr,
        /// The lowest port of the range.
        first: u16,
        /// The highest port of the range.
        last: u16,
        /// Its protocol.
        protocol: Protocol,
    },
    /// The port cannot be reserved for some other reason.
    #[error("cannot publish port {port}/{protocol} on {host_ip}")]
    Publish {
        /// The address that was asked for.
        host_ip: IpAddr,
        /// The port that was asked for.
        port: u16,
        /// Its protocol.
        protocol: Protocol,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The machine does not have the address to publish on.
    #[error("the machine does not have the address {host_ip}")]
    NoSuchAddress {
        /// The address that was asked for.
        host_ip: IpAddr,
    },
    /// The container is not reached by IPv6.
    #[error(
        "ports cannot be published on the IPv6 address {host_ip}: the container has no IPv6 address"
    )]
    Ipv6 {
        /// The address that was asked for.
        host_ip: IpAddr,
    },
    /// The container has a network, is getting one, or is losing it.
    #[error("container {id} is already attached to a network")]
    AlreadyAttached {
        /// The container.
        id: String,
    },
    /// The id cannot be the name of a file.
    #[error("{id:?} is not usable as a container id")]
    InvalidId {
        /// The id.
        id: String,
    },
    /// The address cannot be had.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// There is no such network.
    #[error("network {0} not found")]
    NoSuchNetwork(String),
    /// The machine has no such interface.
    #[error("invalid subinterface vlan name {0}, example formatting is eth0.10")]
    NoSuchParent(String),
    /// The machine has an interface of this name that is not ours.
    #[error("interface {0} is in use")]
    InterfaceInUse(String),
    /// The container is on the network.
    #[error("container {id} is already connected to network {network}")]
    AlreadyConnected {
        /// The container.
        id: String,
        /// Key of the network.
        network: String,
    },
    /// The container has no network of its own.
    #[error("container {id} has no network of its own")]
    NotAttached {
        /// The container.
        id: String,
    },
    /// The machine's bridge or firewall cannot be set up.
    #[error("cannot set up the container network: {step}")]
    SetUp {
        /// What was being done.
        step: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The container's own part cannot be made.
    #[error("cannot connect container {id}: {step}")]
    Connect {
        /// The container.
        id: String,
        /// What was being done.
        step: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No free subnet was found for the bridge.
    #[error("every private network that could be used for containers is in use on this machine")]
    NoFreeSubnet,
    /// The state database failed.
    #[error("cannot record the network of the bridge")]
    State {
        /// What the database said.
        #[source]
        source: StateError,
    },
}

impl Interface {
    /// Returns a hardware address as it is usually written.
    #[must_use]
    pub fn text_of(mac: [u8; 6]) -> String {
        mac.map(|byte| format!("{byte:02x}")).join(":")
    }
}

/// The reasons why a container's network cannot be taken back in full.
#[derive(Debug, thiserror::Error)]
pub enum DetachError {
    /// It is not on the network.
    #[error("container {id} is not connected to the network")]
    NotConnected {
        /// The container.
        id: String,
    },
    /// It is being attached or detached at this moment.
    #[error("the network of container {id} is being changed")]
    Busy {
        /// The container.
        id: String,
    },
    /// A part could not be removed; everything else was, and detaching again tries the rest.
    #[error("cannot disconnect container {id}: {step}")]
    Disconnect {
        /// The container.
        id: String,
        /// What was being done.
        step: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The reasons why networks cannot be brought back after a restart of the agent.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The machine's bridge or firewall cannot be set up.
    #[error("cannot restore the container network: {step}")]
    SetUp {
        /// What was being done.
        step: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// One of the networks cannot be set up.
    #[error("cannot restore network {name}")]
    Network {
        /// Its key.
        name: String,
        /// Why.
        #[source]
        source: Box<AttachError>,
    },
}

/// The text is not the name of a protocol.
#[derive(Debug, thiserror::Error)]
#[error("unknown protocol {name:?}")]
pub struct ParseProtocolError {
    name: String,
}

// === impl Protocol ===

impl Protocol {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

impl FromStr for Protocol {
    type Err = ParseProtocolError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "sctp" => Ok(Self::Sctp),
            _ => Err(ParseProtocolError {
                name: name.to_owned(),
            }),
        }
    }
}

// === impl Interface ===

impl Interface {
    /// Returns the hardware address as it is usually written.
    #[must_use]
    pub fn mac_text(&self) -> String {
        Self::text_of(self.mac)
    }
}
