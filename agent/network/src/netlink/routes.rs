//! Addresses and routes of one network namespace.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::links::{CREATE, Links, loopback_up, up};
use super::message::{flag, read_u32};
use super::{Message, attributes};
use crate::Subnet;

/// A default route of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) is_ipv4: bool,
    /// Nothing: the interface itself leads everywhere.
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) index: u32,
}

/// The kernel need not ask around whether somebody has the address already.
const IFA_F_NODAD: u8 = 0x02;

/// The lengths of the headers that the kernel's answers begin with.
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;

// === impl Links ===

impl Links {
    /// Brings up loopback and an interface with its addresses.
    pub(crate) fn configure(
        &mut self,
        index: u32,
        addresses: &[(IpAddr, Subnet)],
        route: &[Route],
    ) -> io::Result<()> {
        let mut messages = vec![loopback_up(), up(index)];
        messages.extend(
            addresses.iter().map(|(address, subnet)| {
                address_message(libc::RTM_NEWADDR, index, *address, *subnet)
            }),
        );
        messages.extend(route.iter().map(route_message));
        self.execute(messages)
    }

    /// Replaces the default route, or takes it away.
    pub(crate) fn set_default_route(
        &mut self,
        is_ipv4: bool,
        route: Option<Route>,
    ) -> io::Result<()> {
        if let Some(route) = route {
            return self.execute(vec![route_message(&route)]);
        }
        let message = Message::new(libc::RTM_DELROUTE, 0, &route_header(is_ipv4));
        match self.execute(vec![message]) {
            // There is none, or no such family.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::ESRCH | libc::EAFNOSUPPORT | libc::EOPNOTSUPP | libc::EPERM)
                ) =>
            {
                Ok(())
            }
            result => result,
        }
    }

    pub(crate) fn add_address(
        &mut self,
        index: u32,
        address: IpAddr,
        subnet: Subnet,
    ) -> io::Result<()> {
        self.execute(vec![address_message(
            libc::RTM_NEWADDR,
            index,
            address,
            subnet,
        )])
    }

    pub(crate) fn remove_address(
        &mut self,
        index: u32,
        address: IpAddr,
        subnet: Subnet,
    ) -> io::Result<()> {
        self.execute(vec![address_message(
            libc::RTM_DELADDR,
            index,
            address,
            subnet,
        )])
    }

    /// Returns all addresses with the interfaces that have them and the networks that they lie in.
    pub(crate) fn addresses(&mut self) -> io::Result<Vec<(u32, IpAddr, Subnet)>> {
        let mut found = Vec::new();
        for family in FAMILIES {
            let mut header = [0; ADDRESS_HEADER];
            header[0] = family;
            let message = Message::new(libc::RTM_GETADDR, 0, &header);
            let answers = self.socket.dump(message)?;
            found.extend(answers.iter().filter_map(|answer| parse_address(answer)));
        }
        Ok(found)
    }

    /// Returns the networks that have routes, with the interfaces that these go through. Default
    /// routes are left out.
    pub(crate) fn routed_networks(&mut self) -> io::Result<Vec<(Option<u32>, Subnet)>> {
        let mut found = Vec::new();
        for family in FAMILIES {
            let mut header = [0; ROUTE_HEADER];
            header[0] = family;
            let message = Message::new(libc::RTM_GETROUTE, 0, &header);
            let answers = self.socket.dump(message)?;
            found.extend(answers.iter().filter_map(|answer| parse_route(answer)));
        }
        Ok(found)
    }
}

const FAMILIES: [u8; 2] = [flag(libc::AF_INET) as u8, flag(libc::AF_INET6) as u8];

fn family(is_ipv4: bool) -> u8 {
    FAMILIES[usize::from(!is_ipv4)]
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn route_header(is_ipv4: bool) -> [u8; ROUTE_HEADER] {
    let mut header = [0; ROUTE_HEADER];
    header[0] = family(is_ipv4);
    header[4] = libc::RT_TABLE_MAIN;
    header[5] = libc::RTPROT_BOOT;
    header[6] = libc::RT_SCOPE_UNIVERSE;
    header[7] = libc::RTN_UNICAST;
    header
}

fn route_message(route: &Route) -> Message {
    let mut header = route_header(route.is_ipv4);
    if route.gateway.is_none() {
        header[6] = libc::RT_SCOPE_LINK;
    }
    let flags = flag(libc::NLM_F_CREATE | libc::NLM_F_REPLACE);
    let mut message = Message::new(libc::RTM_NEWROUTE, flags, &header);
    if let Some(gateway) = route.gateway {
        message.attribute(libc::RTA_GATEWAY, &octets(gateway));
    }
    message.u32(libc::RTA_OIF, route.index);
    message
}

fn address_message(kind: u16, index: u32, address: IpAddr, subnet: Subnet) -> Message {
    let mut header = [0; ADDRESS_HEADER];
    header[0] = family(address.is_ipv4());
    header[1] = subnet.prefix();
    if address.is_ipv6() && kind == libc::RTM_NEWADDR {
        header[2] = IFA_F_NODAD;
    }
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    let flags = if kind == libc::RTM_NEWADDR { CREATE } else { 0 };
    let mut message = Message::new(kind, flags, &header);
    message
        .attribute(libc::IFA_LOCAL, &octets(address))
        .attribute(libc::IFA_ADDRESS, &octets(address));
    if kind == libc::RTM_NEWADDR && address.is_ipv4() && subnet.prefix() < 31 {
        message.attribute(libc::IFA_BROADCAST, &octets(subnet.last()));
    }
    message
}

fn parse_address(payload: &[u8]) -> Option<(u32, IpAddr, Subnet)> {
    let (header, rest) = payload.split_first_chunk::<ADDRESS_HEADER>()?;
    let local = |wanted| {
        let mut all = attributes(rest);
        all.find_map(|(kind, value)| (kind == wanted).then(|| parse(header[0], value)).flatten())
    };
    // On point-to-point links the second is the other side's address.
    let address = local(libc::IFA_LOCAL).or_else(|| local(libc::IFA_ADDRESS))?;
    let index = read_u32(&header[4..])?;
    Some((index, address, Subnet::containing(address, header[1])))
}

fn parse_route(payload: &[u8]) -> Option<(Option<u32>, Subnet)> {
    let (header, rest) = payload.split_first_chunk::<ROUTE_HEADER>()?;
    let find =
        |wanted| attributes(rest).find_map(|(kind, value)| (kind == wanted).then_some(value));
    let destination = parse(header[0], find(libc::RTA_DST)?)?;
    let interface = find(libc::RTA_OIF).and_then(read_u32);
    (header[1] > 0).then(|| (interface, Subnet::containing(destination, header[1])))
}

fn parse(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    if family == FAMILIES[0] {
        return bytes
            .first_chunk()
            .map(|octets: &[u8; 4]| Ipv4Addr::from(*octets).into());
    }
    bytes
        .first_chunk()
        .map(|octets: &[u8; 16]| Ipv6Addr::from(*octets).into())
}
