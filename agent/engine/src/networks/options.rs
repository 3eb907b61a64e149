//! What a caller may ask of a new network.

use std::collections::BTreeMap;

/// Options of a new network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own of Docker's API"
)]
pub struct NetworkOptions {
    /// Its name.
    pub name: String,
    /// `bridge`, `macvlan`, `ipvlan`, `host` or `null`; empty: `bridge`.
    pub driver: String,
    /// Who chooses addresses: `default` or empty, or `null`.
    pub ipam_driver: String,
    /// Options for that.
    pub ipam_options: BTreeMap<String, String>,
    /// Its subnets; empty: one that is free.
    pub pools: Vec<PoolOptions>,
    /// Nothing enters or leaves it.
    pub internal: bool,
    /// Containers may be connected by hand; of swarms only, and shown again.
    pub attachable: bool,
    /// Carries the traffic of a swarm, of which there is none.
    pub ingress: bool,
    /// Only lends its settings to others.
    pub config_only: bool,
    /// The network that lends its settings; empty: none.
    pub config_from: String,
    /// `local` or empty.
    pub scope: String,
    /// Whether containers have IPv4 addresses; nothing: yes.
    pub enable_ipv4: Option<bool>,
    /// Whether containers have IPv6 addresses; nothing: no.
    pub enable_ipv6: Option<bool>,
    /// Options for the driver.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// One subnet of a new network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolOptions {
    /// `address/bits`; empty: one that is free.
    pub subnet: String,
    /// The machine's address; empty: the first one.
    pub gateway: String,
    /// The part that containers get addresses of; empty: all of it.
    pub ip_range: String,
    /// Addresses that somebody else has, by name.
    pub aux_addresses: BTreeMap<String, String>,
}
