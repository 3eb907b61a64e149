//! One place of a container on one network: planning it, and making it in the kernel.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::addresses::mac_of;
use crate::attach::connect;
use crate::definition::{Definition, Driver, IpvlanMode};
use crate::host::Ready;
use crate::lease::{EndpointLease, Lease, peer_name};
use crate::names::{Client, NameServer, Sockets};
use crate::namespace::set_parameter;
use crate::netlink::links::{Child, Inside, Links, Port};
use crate::netlink::routes::Route;
use crate::network::Inner;
use crate::{AttachError, EndpointRequest, Subnet};

// === impl Inner ===

impl Inner {
    /// Decides on addresses and names of interfaces. The addresses are taken from then on.
    pub(crate) fn plan(
        &self,
        id: &str,
        lease: &Lease,
        request: &EndpointRequest,
        ready: &Ready,
    ) -> Result<EndpointLease, AttachError> {
        let definition = &ready.definition;
        let mut addresses = Vec::new();
        for wanted in &request.addresses {
            let mut pools = definition.pools.iter();
            let pool = pools.find(|pool| pool.subnet.contains(*wanted));
            let pool = pool.ok_or(crate::AddressError::Outside(*wanted))?;
            self.leases()
                .take_address(id, &definition.id, pool, Some(*wanted))?;
            addresses.push((*wanted, pool.subnet));
        }
        for pool in definition.pools_in_use() {
            let is_given =
                |(address, _): &(IpAddr, Subnet)| address.is_ipv4() == pool.subnet.is_ipv4();
            if !addresses.iter().any(is_given) {
                let address = self.leases().take_address(id, &definition.id, pool, None)?;
                addresses.push((address, pool.subnet));
            }
        }
        let is_bridge = definition.bridge().is_some();
        let own_mac = || addresses.first().map(|(address, _)| mac_of(*address));
        let mac = match definition.driver {
            // It has that of its parent.
            Driver::Ipvlan(_) => None,
            Driver::Bridge(_) | Driver::Macvlan(_) => request.mac.or_else(own_mac),
        };
        Ok(EndpointLease {
            network: definition.id.clone(),
            network_name: definition.name.clone(),
            interface: lease.free_interface(),
            peer: if is_bridge {
                peer_name()
            } else {
                String::new()
            },
            gateways: gateways(definition, &addresses),
            addresses,
            link_local: request.link_local.clone(),
            mac,
            priority: request.priority,
            internal: !definition.leads_out(),
            has_names: definition.has_names,
            names: request.names.clone(),
            links: request.links.clone(),
            incomplete: false,
        })
    }

    /// Connects the namespace, in which the calling thread is, to one network.
    pub(crate) fn connect(
        &self,
        id: &str,
        lease: &Lease,
        endpoint: &EndpointLease,
        ready: &Ready,
        namespace: &File,
    ) -> Result<(), AttachError> {
        let create = "create the pair of interfaces";
        let inside = Inside {
            name: &endpoint.interface,
            mac: endpoint.mac,
            namespace: namespace.as_fd(),
            mtu: mtu(&ready.definition),
        };
        let mut host = self.host();
        let links = host.links().map_err(connect(id, create))?;
        create_interface(links, endpoint, ready, &inside).map_err(connect(id, create))?;
        drop(host);
        configure(lease, endpoint).map_err(connect(id, "configure the container's interface"))
    }

    /// Opens a name server in the namespace in which the calling thread is.
    pub(crate) fn name_server(
        self: &Arc<Self>,
        id: &str,
        namespace: File,
        runtime: &Handle,
    ) -> io::Result<NameServer> {
        let client = Client::new(Arc::downgrade(self), id.to_owned(), namespace);
        Sockets::open()?.serve(client, runtime)
    }
}

/// Returns the addresses that lead out, as far as the container has addresses to use them with. Where
/// the interface itself leads everywhere, these are unspecified ones.
fn gateways(definition: &Definition, addresses: &[(IpAddr, Subnet)]) -> Vec<IpAddr> {
    if !definition.leads_out() {
        return Vec::new();
    }
    let by_itself = match &definition.driver {
        Driver::Ipvlan(parent) => parent.mode != IpvlanMode::L2,
        Driver::Bridge(_) | Driver::Macvlan(_) => false,
    };
    let gateway = |subnet: &Subnet| {
        if by_itself {
            return Some(if subnet.is_ipv4() {
                Ipv4Addr::UNSPECIFIED.into()
            } else {
                Ipv6Addr::UNSPECIFIED.into()
            });
        }
        definition
            .pools
            .iter()
            .find(|pool| pool.subnet == *subnet)?
            .gateway
    };
    addresses
        .iter()
        .filter_map(|(_, subnet)| gateway(subnet))
        .collect()
}

fn mtu(definition: &Definition) -> Option<u32> {
    match &definition.driver {
        Driver::Bridge(options) => options.mtu,
        Driver::Macvlan(parent) => parent.mtu,
        Driver::Ipvlan(parent) => parent.mtu,
    }
}

fn create_interface(
    links: &mut Links,
    endpoint: &EndpointLease,
    ready: &Ready,
    inside: &Inside<'_>,
) -> io::Result<()> {
    let child = match &ready.definition.driver {
        Driver::Bridge(options) => {
            let port = Port {
                name: &endpoint.peer,
                bridge: ready.index,
                isolated: !options.talks,
            };
            return create_pair(links, &port, inside);
        }
        Driver::Macvlan(parent) => Child::Macvlan(parent.mode),
        Driver::Ipvlan(parent) => Child::Ipvlan(parent.mode),
    };
    links.create_child(ready.index, child, inside)
}

/// An interface of this name that there is in spite of everything is nobody's any more.
fn create_pair(links: &mut Links, port: &Port<'_>, inside: &Inside<'_>) -> io::Result<()> {
    match links.create_pair(port, inside) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
            if let Some(stale) = links.by_name(port.name)? {
                links.remove(stale.index)?;
            }
            links.create_pair(port, inside)
        }
        result => result,
    }
}

/// Gives the interface its addresses, and the default routes that lead through it.
fn configure(lease: &Lease, endpoint: &EndpointLease) -> io::Result<()> {
    let mut links = Links::open()?;
    let name = &endpoint.interface;
    let index = links.by_name(name)?.ok_or(io::ErrorKind::NotFound)?.index;
    let mut addresses = endpoint.addresses.clone();
    addresses.extend(endpoint.link_local.iter().map(|address| {
        let prefix = if address.is_ipv4() { 16 } else { 64 };
        (*address, Subnet::containing(*address, prefix))
    }));
    if addresses.iter().any(|(address, _)| address.is_ipv6()) {
        set_parameter(&format!("ipv6/conf/{name}/disable_ipv6"), "0")?;
    }
    let ways_out = [true, false].into_iter().filter_map(|is_ipv4| {
        let way_out = lease
            .way_out(is_ipv4)
            .filter(|way| way.network == endpoint.network)?;
        Some(route(way_out, is_ipv4, index))
    });
    links.configure(index, &addresses, &ways_out.collect::<Vec<_>>())
}

/// Brings the default routes of the namespace, in which the calling thread is, to the lease.
pub(crate) fn set_routes(lease: &Lease) -> io::Result<()> {
    let mut links = Links::open()?;
    for is_ipv4 in [true, false] {
        let way_out = match lease.way_out(is_ipv4) {
            Some(endpoint) => {
                let found = links.by_name(&endpoint.interface)?;
                found.map(|link| route(endpoint, is_ipv4, link.index))
            }
            None => None,
        };
        links.set_default_route(is_ipv4, way_out)?;
    }
    Ok(())
}

fn route(endpoint: &EndpointLease, is_ipv4: bool, index: u32) -> Route {
    Route {
        is_ipv4,
        gateway: endpoint
            .gateway(is_ipv4)
            .filter(|gateway| !gateway.is_unspecified()),
        index,
    }
}
