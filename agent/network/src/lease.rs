//! What is remembered of each attached container, and the choice of addresses.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use berth_agent_state::Record;
use serde::{Deserialize, Serialize};

use crate::firewall::Forward;
use crate::ports::Reservation;
use crate::{NetworkMode, PublishedPort, Subnet};

/// The bridge's network, so that it stays the same when the agent starts again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BridgeRecord {
    pub(crate) subnet: Subnet,
}

/// What a container holds, recorded before it is made so that a killed agent's work is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    pub(crate) mode: NetworkMode,
    /// The address on the bridge, and the subnet that it was taken from.
    pub(crate) address: Option<(Ipv4Addr, Subnet)>,
    pub(crate) ports: Vec<PublishedPort>,
    /// Hardware address that was asked for; nothing: one made of the address.
    #[serde(default)]
    pub(crate) mac: Option<[u8; 6]>,
}

/// All containers with a network of their own.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    entries: HashMap<String, Entry>,
    last_address: Option<Ipv4Addr>,
}

#[derive(Debug)]
enum Entry {
    /// Somebody works on it; the address is taken already.
    Changing(Option<Ipv4Addr>),
    Attached(Attached),
}

/// An attached container.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) lease: Lease,
    pub(crate) reservations: Vec<Reservation>,
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

// === impl Lease ===

impl Lease {
    /// Returns the name of the interface on the machine's side.
    pub(crate) fn interface(&self) -> Option<String> {
        let (address, _) = self.address?;
        Some(format!("{INTERFACE_PREFIX}{:08x}", address.to_bits()))
    }

    /// Returns the published ports as the firewall needs them.
    pub(crate) fn forwards(&self) -> Vec<Forward> {
        let Some((container_ip, _)) = self.address else {
            return Vec::new();
        };
        let forward = |port: &PublishedPort| Forward {
            protocol: port.protocol,
            host_ip: port.host_ip,
            host_port: port.host_port,
            container_ip,
            container_port: port.container_port,
        };
        self.ports.iter().map(forward).collect()
    }
}

/// Machine-side interfaces are named after the containers' addresses, in hexadecimal.
const INTERFACE_PREFIX: &str = "bv";

/// Says whether an interface has a name that this agent gives.
pub(crate) fn is_interface_name(name: &str) -> bool {
    name.strip_prefix(INTERFACE_PREFIX)
        .is_some_and(|rest| rest.len() == 8 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

// === impl Leases ===

impl Leases {
    /// Starts from what is recorded.
    pub(crate) fn from_records(records: Vec<(String, Lease)>) -> Self {
        let attached = |lease| {
            Entry::Attached(Attached {
                lease,
                reservations: Vec::new(),
            })
        };
        Self {
            entries: records
                .into_iter()
                .map(|(id, lease)| (id, attached(lease)))
                .collect(),
            last_address: None,
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Lease> {
        match self.entries.get(id)? {
            Entry::Attached(attached) => Some(&attached.lease),
            Entry::Changing(_) => None,
        }
    }

    pub(crate) fn attached(&self) -> impl Iterator<Item = (&String, &Lease)> {
        self.entries.iter().filter_map(|(id, entry)| match entry {
            Entry::Attached(attached) => Some((id, &attached.lease)),
            Entry::Changing(_) => None,
        })
    }

    pub(crate) fn knows(&self, id: &str) -> bool {
        self.entries.contains_key(id)
    }

    /// Reserves the id for somebody who attaches it; `false` when it is known already.
    pub(crate) fn begin(&mut self, id: &str) -> bool {
        if self.entries.contains_key(id) {
            return false;
        }
        self.entries.insert(id.to_owned(), Entry::Changing(None));
        true
    }

    /// Takes the next free address for an id that is being attached. Addresses go round, so that one
    /// is not reused while the kernel still clears away its last owner.
    pub(crate) fn take_address(&mut self, id: &str, subnet: Subnet) -> Option<Ipv4Addr> {
        let used: Vec<Ipv4Addr> = self
            .entries
            .values()
            .filter_map(|entry| match entry {
                Entry::Changing(address) => *address,
                Entry::Attached(attached) => attached.lease.address.map(|(address, _)| address),
            })
            .collect();
        let address = next_free(subnet, self.last_address, &used)?;
        self.last_address = Some(address);
        self.entries
            .insert(id.to_owned(), Entry::Changing(Some(address)));
        Some(address)
    }

    /// Takes an entry for somebody who detaches it.
    pub(crate) fn end(&mut self, id: &str) -> Result<Attached, Unavailable> {
        let entry = self.entries.get_mut(id).ok_or(Unavailable::Absent)?;
        let address = match entry {
            Entry::Changing(_) => return Err(Unavailable::Changing),
            Entry::Attached(attached) => attached.lease.address.map(|(address, _)| address),
        };
        match std::mem::replace(entry, Entry::Changing(address)) {
            Entry::Attached(attached) => Ok(attached),
            Entry::Changing(_) => Err(Unavailable::Changing),
        }
    }

    pub(crate) fn put(&mut self, id: &str, attached: Attached) {
        self.entries
            .insert(id.to_owned(), Entry::Attached(attached));
    }

    pub(crate) fn forget(&mut self, id: &str) {
        self.entries.remove(id);
    }

    /// Returns the container that publishes a port which collides with this one.
    pub(crate) fn publisher(
        &self,
        host_ip: Ipv4Addr,
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

/// Returns the first free address after `last`, going round once. The network's own address, the
/// bridge's and the broadcast address are never free.
fn next_free(subnet: Subnet, last: Option<Ipv4Addr>, used: &[Ipv4Addr]) -> Option<Ipv4Addr> {
    let used: std::collections::HashSet<&Ipv4Addr> = used.iter().collect();
    let first = subnet.gateway().to_bits() + 1;
    let end = subnet.broadcast().to_bits();
    let start = last
        .map_or(first, |last| last.to_bits().saturating_add(1))
        .clamp(first, end);
    (start..end)
        .chain(first..start)
        .map(Ipv4Addr::from_bits)
        .find(|address| !used.contains(address))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_go_round_and_run_out() {
        let subnet: Subnet = "10.0.0.0/29".parse().unwrap();
        let mut leases = Leases::default();
        // An address that was just given back is the last to be taken again.
        assert!(leases.begin("short"));
        assert_eq!(
            leases.take_address("short", subnet),
            Some(Ipv4Addr::new(10, 0, 0, 2))
        );
        leases.forget("short");
        let mut taken = Vec::new();
        for n in 2..=6 {
            let id = n.to_string();
            assert!(leases.begin(&id));
            taken.push(leases.take_address(&id, subnet).unwrap().octets()[3]);
        }
        assert_eq!(taken, [3, 4, 5, 6, 2]);
        assert!(leases.begin("one too many"));
        assert_eq!(leases.take_address("one too many", subnet), None);
        leases.forget("3");
        leases.forget("5");
        assert_eq!(
            leases
                .take_address("one too many", subnet)
                .unwrap()
                .octets()[3],
            4
        );
        assert!(leases.begin("last"));
        assert_eq!(leases.take_address("last", subnet).unwrap().octets()[3], 6);
    }

    proptest! {
        #[test]
        fn an_address_is_inside_unused_and_not_special(
            prefix in 16_u8..=30,
            last: Option<u32>,
            used in proptest::collection::vec(2_u32..40, 0..30),
        ) {
            let subnet = Subnet::containing(Ipv4Addr::new(10, 1, 0, 0), prefix);
            let used: Vec<_> = used.iter().map(|n| Ipv4Addr::from_bits(subnet.network().to_bits() + n)).collect();
            if let Some(address) = next_free(subnet, last.map(Ipv4Addr::from_bits), &used) {
                prop_assert!(subnet.contains(address));
                prop_assert!(!used.contains(&address));
                for special in [subnet.network(), subnet.gateway(), subnet.broadcast()] {
                    prop_assert_ne!(address, special);
                }
            } else {
                let places = subnet.broadcast().to_bits() - subnet.gateway().to_bits() - 1;
                prop_assert!(usize::try_from(places).unwrap() <= used.len());
            }
        }
    }
}
