//! What a container asks of a network.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a container asks of one network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointOptions {
    /// Name or id of the network.
    pub network: String,
    /// Further names on it.
    pub aliases: Vec<String>,
    /// IPv4 address; empty: a free one.
    pub ipv4_address: String,
    /// IPv6 address; empty: a free one.
    pub ipv6_address: String,
    /// Address of the interface; empty: one that is made up.
    pub mac_address: String,
    /// `container[:alias]`.
    pub links: Vec<String>,
    /// Options for the network's driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Further addresses of the link.
    pub link_local_ips: Vec<String>,
    /// The network with the highest leads out to the world.
    pub gw_priority: i64,
}

/// One port to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortBinding {
    /// Address of the machine; empty: all of them.
    pub host_ip: String,
    /// Port of the machine; 0: a free one.
    pub host_port: u16,
    /// Not 0: any free one from `host_port` up to this one.
    pub host_port_last: u16,
    /// Port in the container.
    pub container_port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}
