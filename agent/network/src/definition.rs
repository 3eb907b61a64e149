//! What a network is: how its containers are connected, and the addresses that they get.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::Subnet;

/// The key of the network that containers are on when they ask for none.
pub const DEFAULT_NETWORK: &str = "bridge";

/// A network that containers can be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Key by which endpoints name it; never changes.
    pub id: String,
    /// Its name, which decides the order among equals.
    pub name: String,
    /// How it is made.
    pub driver: Driver,
    /// Where addresses come from, in order; containers get one of the first pool of each family.
    pub pools: Vec<Pool>,
    /// Nothing leaves or enters it.
    pub internal: bool,
    /// Names of containers are resolved on it.
    pub has_names: bool,
}

/// How a network is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// A bridge of the machine.
    Bridge(BridgeOptions),
    /// Interfaces with addresses of their own on one of the machine's.
    Macvlan(Parent<MacvlanMode>),
    /// Interfaces that share the hardware address of one of the machine's.
    Ipvlan(Parent<IpvlanMode>),
}

/// Options of a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeOptions {
    /// Name of the machine's interface.
    pub interface: String,
    /// Containers may talk to each other.
    pub talks: bool,
    /// Containers speak to the world with the machine's address.
    pub masquerade: bool,
    /// Size of the largest packet in bytes; nothing: the kernel's choice.
    pub mtu: Option<u32>,
    /// Address of the machine to publish ports on when none is asked for; nothing: all.
    pub host_binding: Option<IpAddr>,
}

/// An interface of the machine with interfaces of containers on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent<M> {
    /// Its name; `NAME.NUMBER` is made as a VLAN when missing, and empty is one of its own that
    /// leads nowhere.
    pub interface: String,
    /// How the containers' interfaces relate.
    pub mode: M,
    /// Size of the largest packet in bytes; nothing: the parent's.
    pub mtu: Option<u32>,
}

/// Whom containers on one parent reach directly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MacvlanMode {
    /// Nobody.
    Private,
    /// Each other through a switch outside.
    Vepa,
    /// Each other.
    #[default]
    Bridge,
    /// A single container has the parent to itself.
    Passthru,
}

/// The layer on which packets are handed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IpvlanMode {
    /// By hardware address.
    #[default]
    L2,
    /// By IP address.
    L3,
    /// By IP address, through the machine's firewall.
    L3s,
}

/// A subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// All of its addresses.
    pub subnet: Subnet,
    /// The address that leads out.
    pub gateway: Option<IpAddr>,
    /// The part that containers get addresses of; nothing: all of it.
    pub range: Option<Subnet>,
    /// Addresses that somebody else has.
    pub reserved: Vec<IpAddr>,
}

// === impl Definition ===

impl Definition {
    /// Returns the bridge's options if it is one.
    pub(crate) fn bridge(&self) -> Option<&BridgeOptions> {
        match &self.driver {
            Driver::Bridge(options) => Some(options),
            Driver::Macvlan(_) | Driver::Ipvlan(_) => None,
        }
    }

    /// Returns the name of the machine's interface that belongs to it.
    pub(crate) fn interface(&self) -> String {
        let parent = match &self.driver {
            Driver::Bridge(options) => return options.interface.clone(),
            Driver::Macvlan(parent) => &parent.interface,
            Driver::Ipvlan(parent) => &parent.interface,
        };
        if parent.is_empty() {
            return format!("dm-{}", self.id.get(..12).unwrap_or(&self.id));
        }
        parent.clone()
    }

    /// Returns the pools that a container gets addresses of: the first of each family.
    pub(crate) fn pools_in_use(&self) -> impl Iterator<Item = &Pool> {
        let first = |is_ipv4| {
            self.pools
                .iter()
                .find(move |pool| pool.subnet.is_ipv4() == is_ipv4)
        };
        first(true).into_iter().chain(first(false))
    }

    /// Whether containers go out to the world through it.
    pub(crate) fn leads_out(&self) -> bool {
        !self.internal
    }
}

// === impl Pool ===

impl Pool {
    /// Returns the pool of a whole subnet whose first address is the gateway's.
    #[must_use]
    pub fn of(subnet: Subnet) -> Self {
        Self {
            subnet,
            gateway: Some(subnet.first_host()),
            range: None,
            reserved: Vec::new(),
        }
    }

    /// Whether a container may have the address.
    pub(crate) fn can_have(&self, address: IpAddr) -> bool {
        self.subnet.is_host(address)
            && self.gateway != Some(address)
            && !self.reserved.contains(&address)
    }
}
