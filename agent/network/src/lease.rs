//! What is remembered of each attached container.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use berth_agent_state::Record;
use serde::{Deserialize, Serialize};

use crate::addresses::{self, AddressError};
use crate::definition::{DEFAULT_NETWORK, Pool};
use crate::firewall::Forward;
use crate::names::NameServer;
use crate::ports::Reservation;
use crate::{NetworkMode, PublishedPort, Subnet};

/// The bridge's network, so that it stays the same when the agent starts again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BridgeRecord {
    pub(crate) subnet: Subnet,
}

/// What a container holds, recorded before it is made so that a killed agent's work is found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    pub(crate) mode: NetworkMode,
    #[serde(default)]
    pub(crate) endpoints: Vec<EndpointLease>,
    pub(crate) ports: Vec<PublishedPort>,
    /// Servers for names that are not containers'; empty: the machine's.
    #[serde(default)]
    pub(crate) nameservers: Vec<IpAddr>,
    /// Files of agents that knew one network only: its address and hardware address.
    #[serde(default, skip_serializing)]
    address: Option<(Ipv4Addr, Subnet)>,
    #[serde(default, skip_serializing)]
    mac: Option<[u8; 6]>,
}

/// A container's place on one network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EndpointLease {
    pub(crate) network: String,
    pub(crate) network_name: String,
    /// The name of the interface that the container sees.
    pub(crate) interface: String,
    /// The name of the machine's side; empty: there is none.
    pub(crate) peer: String,
    pub(crate) addresses: Vec<(IpAddr, Subnet)>,
    pub(crate) link_local: Vec<IpAddr>,
    pub(crate) gateways: Vec<IpAddr>,
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) priority: i64,
    /// Nothing leaves or enters the network.
    pub(crate) internal: bool,
    /// Names are resolved on it.
    pub(crate) has_names: bool,
    pub(crate) names: Vec<String>,
    /// Own names for other containers, whoever has the name at the moment.
    pub(crate) links: BTreeMap<String, String>,
    /// It is being connected or disconnected.
    pub(crate) incomplete: bool,
}

/// All containers with a network of their own.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    entries: HashMap<String, Entry>,
    last: HashMap<(String, Subnet), IpAddr>,
}

#[derive(Debug, Default)]
struct Entry {
    /// What others may know of it.
    attached: Option<Attached>,
    /// Somebody works on it.
    changing: bool,
    /// Addresses that are taken for it, by network, while it is worked on.
    held: Vec<(String, IpAddr)>,
}

/// An attached container.
#[derive(Debug, Default)]
pub(crate) struct Attached {
    pub(crate) lease: Lease,
    pub(crate) reservations: Vec<Reservation>,
    pub(crate) nameserver: Option<NameServer>,
}

/// Why a container's entry cannot be taken for work on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unavailable {
    Absent,
    Changing,
}

impl Record for BridgeRecord {
    const TABLE: &'static str = "network-bridges";
    const VERSION: u32 = 1;
}

// === impl EndpointLease ===

impl EndpointLease {
    /// Returns its address of a family.
    pub(crate) fn address(&self, is_ipv4: bool) -> Option<(IpAddr, Subnet)> {
        let mut all = self.addresses.iter();
        all.find(|(address, _)| address.is_ipv4() == is_ipv4)
            .copied()
    }

    pub(crate) fn gateway(&self, is_ipv4: bool) -> Option<IpAddr> {
        let mut all = self.gateways.iter();
        all.find(|gateway| gateway.is_ipv4() == is_ipv4).copied()
    }
}

// === impl Lease ===

impl Lease {
    pub(crate) fn new(mode: NetworkMode, nameservers: Vec<IpAddr>) -> Self {
        Self {
            mode,
            nameservers,
            ..Self::default()
        }
    }

    /// Brings what a former agent wrote into today's form.
    pub(crate) fn upgraded(mut self) -> Self {
        if let Some((address, subnet)) = self.address.take() {
            self.endpoints.push(EndpointLease {
                network: DEFAULT_NETWORK.to_owned(),
                network_name: DEFAULT_NETWORK.to_owned(),
                interface: "eth0".to_owned(),
                peer: format!("{INTERFACE_PREFIX}{:08x}", address.to_bits()),
                addresses: vec![(address.into(), subnet)],
                gateways: vec![subnet.first_host()],
                mac: self
                    .mac
                    .take()
                    .or_else(|| Some(addresses::mac_of(address.into()))),
                ..EndpointLease::default()
            });
        }
        self
    }

    pub(crate) fn endpoint(&self, network: &str) -> Option<&EndpointLease> {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.network == network)
    }

    /// Returns the endpoint that leads to the world: of those that can, the one with the highest
    /// priority, and among equals the first by name, as Docker has it.
    pub(crate) fn way_out(&self, is_ipv4: bool) -> Option<&EndpointLease> {
        let can = |endpoint: &&EndpointLease| {
            !endpoint.internal
                && endpoint.gateway(is_ipv4).is_some()
                && endpoint.address(is_ipv4).is_some()
        };
        let order = |endpoint: &&EndpointLease| {
            (
                std::cmp::Reverse(endpoint.priority),
                endpoint.network_name.clone(),
            )
        };
        self.endpoints.iter().filter(can).min_by_key(order)
    }

    /// Returns the published ports as the firewall needs them. What is published on an address of a
    /// family that the container has not is handed on otherwise.
    pub(crate) fn forwards(&self) -> Vec<Forward> {
        let target = |is_ipv4| {
            let endpoint = self
                .way_out(is_ipv4)
                .filter(|endpoint| !endpoint.peer.is_empty())?;
            endpoint.address(is_ipv4).map(|(address, _)| address)
        };
        let forward = |port: &PublishedPort| {
            Some(Forward {
                protocol: port.protocol,
                host_ip: port.host_ip,
                host_port: port.host_port,
                container_ip: target(port.host_ip.is_ipv4())?,
                container_port: port.container_port,
            })
        };
        self.ports.iter().filter_map(forward).collect()
    }

    /// Whether names of containers are resolved on one of its networks.
    pub(crate) fn has_names(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.has_names)
    }

    /// Returns a name for one more interface.
    pub(crate) fn free_interface(&self) -> String {
        let is_free = |name: &String| self.endpoints.iter().all(|e| &e.interface != name);
        let mut names = (0..=self.endpoints.len()).map(|n| format!("eth{n}"));
        // One more name than there are endpoints.
        names.find(is_free).unwrap_or_default()
    }
}

/// Begins the names of interfaces on the machine's side.
const INTERFACE_PREFIX: &str = "bv";

/// Returns a name for a machine's side that nobody has had: the kernel takes a while to clear away
/// that of an earlier run of the container.
pub(crate) fn peer_name() -> String {
    format!("{INTERFACE_PREFIX}{:012x}", rand::random::<u64>() >> 16)
}

/// Says whether an interface has a name that this agent gives.
pub(crate) fn is_interface_name(name: &str) -> bool {
    name.strip_prefix(INTERFACE_PREFIX).is_some_and(|rest| {
        matches!(rest.len(), 8 | 12) && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

// === impl Leases ===

impl Leases {
    /// Starts from what is recorded.
    pub(crate) fn from_records(records: Vec<(String, Lease)>) -> Self {
        let entry = |lease| Entry {
            attached: Some(Attached {
                lease,
                ..Attached::default()
            }),
            ..Entry::default()
        };
        Self {
            entries: records
                .into_iter()
                .map(|(id, lease)| (id, entry(lease)))
                .collect(),
            last: HashMap::new(),
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Lease> {
        self.entries
            .get(id)?
            .attached
            .as_ref()
            .map(|attached| &attached.lease)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Attached> {
        self.entries.get_mut(id)?.attached.as_mut()
    }

    pub(crate) fn attached(&self) -> impl Iterator<Item = (&String, &Lease)> {
        self.entries.iter().filter_map(|(id, entry)| {
            entry
                .attached
                .as_ref()
                .map(|attached| (id, &attached.lease))
        })
    }

    pub(crate) fn knows(&self, id: &str) -> bool {
        self.entries.contains_key(id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Reserves the id for somebody who attaches it; `false` when it is known already.
    pub(crate) fn begin(&mut self, id: &str) -> bool {
        if self.entries.contains_key(id) {
            return false;
        }
        let entry = Entry {
            changing: true,
            ..Entry::default()
        };
        self.entries.insert(id.to_owned(), entry);
        true
    }

    /// Reserves an attached container for somebody who connects or disconnects it. Others see it as it
    /// was meanwhile.
    pub(crate) fn begin_change(&mut self, id: &str) -> Result<Lease, Unavailable> {
        let entry = self.entries.get_mut(id).ok_or(Unavailable::Absent)?;
        match &entry.attached {
            Some(attached) if !entry.changing => {
                entry.changing = true;
                Ok(attached.lease.clone())
            }
            _ => Err(Unavailable::Changing),
        }
    }

    /// Ends a change.
    pub(crate) fn end_change(&mut self, id: &str) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.changing = false;
            entry.held.clear();
        }
    }

    /// Takes an address for an id that is being worked on. Addresses go round, so that one is not
    /// reused while the kernel still clears away its last owner.
    pub(crate) fn take_address(
        &mut self,
        id: &str,
        network: &str,
        pool: &Pool,
        wanted: Option<IpAddr>,
    ) -> Result<IpAddr, AddressError> {
        let used = self.used_on(network);
        let place = (network.to_owned(), pool.subnet);
        let address = match wanted {
            Some(wanted) => addresses::check(pool, wanted, &used)?,
            None => {
                let last = self.last.get(&place).copied();
                let found = addresses::next_free(pool, last, &used);
                let found = found.ok_or(AddressError::Exhausted(pool.subnet))?;
                self.last.insert(place, found);
                found
            }
        };
        if let Some(entry) = self.entries.get_mut(id) {
            entry.held.push((network.to_owned(), address));
        }
        Ok(address)
    }

    fn used_on(&self, network: &str) -> Vec<IpAddr> {
        let entries = self.entries.values();
        let used = entries.flat_map(|entry| {
            let held = entry.held.iter().filter(|(of, _)| of == network);
            let lease = entry
                .attached
                .iter()
                .flat_map(|attached| &attached.lease.endpoints);
            let own = lease.filter(|endpoint| endpoint.network == network);
            let own = own.flat_map(|endpoint| endpoint.addresses.iter().map(|(a, _)| *a));
            held.map(|(_, address)| *address).chain(own)
        });
        used.collect()
    }

    /// Takes an entry for somebody who detaches it.
    pub(crate) fn end(&mut self, id: &str) -> Result<Attached, Unavailable> {
        let entry = self.entries.get_mut(id).ok_or(Unavailable::Absent)?;
        if entry.changing {
            return Err(Unavailable::Changing);
        }
        let attached = entry.attached.take().ok_or(Unavailable::Changing)?;
        entry.changing = true;
        let endpoints = attached.lease.endpoints.iter();
        entry.held = endpoints
            .flat_map(|e| {
                e.addresses
                    .iter()
                    .map(|(address, _)| (e.network.clone(), *address))
            })
            .collect();
        Ok(attached)
    }

    pub(crate) fn put(&mut self, id: &str, attached: Attached) {
        let entry = Entry {
            attached: Some(attached),
            ..Entry::default()
        };
        self.entries.insert(id.to_owned(), entry);
    }

    pub(crate) fn forget(&mut self, id: &str) {
        self.entries.remove(id);
    }

    /// Returns the container that publishes a port which collides with this one.
    pub(crate) fn publisher(
        &self,
        host_ip: IpAddr,
        port: u16,
        protocol: crate::Protocol,
    ) -> Option<String> {
        let collides = |published: &PublishedPort| {
            published.host_port == port
                && published.protocol == protocol
                && (published.host_ip == host_ip
                    || published.host_ip.is_unspecified()
                    || host_ip.is_unspecified())
        };
        let mut attached = self.attached();
        attached.find_map(|(id, lease)| lease.ports.iter().any(collides).then(|| id.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_round_and_run_out() {
        let pool = Pool::of("10.0.0.0/29".parse().unwrap());
        let mut leases = Leases::default();
        let take = |leases: &mut Leases, id: &str| {
            assert!(leases.begin(id));
            match leases.take_address(id, "n", &pool, None) {
                Ok(IpAddr::V4(address)) => Some(address.octets()[3]),
                _ => None,
            }
        };
        // An address that was just given back is the last to be taken again.
        assert_eq!(take(&mut leases, "short"), Some(2));
        leases.forget("short");
        let taken: Vec<_> = (2..=6).map(|n| take(&mut leases, &n.to_string())).collect();
        assert_eq!(taken, [3, 4, 5, 6, 2].map(Some));
        assert_eq!(take(&mut leases, "one too many"), None);
        leases.forget("one too many");
        leases.forget("3");
        leases.forget("5");
        assert_eq!(take(&mut leases, "again"), Some(4));
        assert_eq!(take(&mut leases, "last"), Some(6));
    }

    #[test]
    fn an_address_that_was_asked_for_is_had_once() {
        let pool = Pool::of("10.0.0.0/24".parse().unwrap());
        let mut leases = Leases::default();
        let wanted = IpAddr::from([10, 0, 0, 9]);
        assert!(leases.begin("one") && leases.begin("two"));
        assert_eq!(
            leases
                .take_address("one", "n", &pool, Some(wanted))
                .unwrap(),
            wanted
        );
        let error = leases
            .take_address("two", "n", &pool, Some(wanted))
            .unwrap_err();
        assert_eq!(error.to_string(), "Address already in use");
        // The same address of another network is another one.
        leases
            .take_address("two", "m", &pool, Some(wanted))
            .unwrap();
    }

    #[test]
    fn the_way_out_is_by_priority_and_then_by_name() {
        let endpoint = |name: &str, priority, internal| EndpointLease {
            network: name.to_owned(),
            network_name: name.to_owned(),
            addresses: vec![([10, 0, 0, 2].into(), "10.0.0.0/24".parse().unwrap())],
            gateways: vec![[10, 0, 0, 1].into()],
            priority,
            internal,
            ..EndpointLease::default()
        };
        let mut lease = Lease {
            endpoints: vec![
                endpoint("b", 0, false),
                endpoint("a", 0, true),
                endpoint("c", 0, false),
            ],
            ..Lease::default()
        };
        let way_out = |lease: &Lease| lease.way_out(true).unwrap().network.clone();
        assert_eq!(way_out(&lease), "b");
        lease.endpoints[2].priority = 1;
        assert_eq!(way_out(&lease), "c");
        assert_eq!(lease.way_out(false), None);
    }

    #[test]
    fn names_of_interfaces_are_known_again() {
        let name = peer_name();
        assert_eq!(name.len(), 14);
        assert!(is_interface_name(&name) && is_interface_name("bv0a000002"));
        assert!(!is_interface_name("bvx") && !is_interface_name("veth0123456789"));
        assert_ne!(name, peer_name());
    }
}
