//! Interfaces, addresses and routes of one network namespace.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::sys::socket::SockProtocol;

use super::message::{flag, read_u32};
use super::{Failure, Message, Socket, attributes};
use crate::Subnet;

/// A connection to the kernel's tables of one namespace.
#[derive(Debug)]
pub(crate) struct Links {
    socket: Socket,
}

/// What is known about an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// The index of the bridge that it is a port of.
    pub(crate) controller: Option<u32>,
}

/// A pair of connected interfaces: one is a port of a bridge here, the other goes to a namespace.
#[derive(Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) name: &'a str,
    pub(crate) bridge: u32,
    pub(crate) peer_name: &'a str,
    pub(crate) peer_mac: [u8; 6],
    pub(crate) peer_namespace: BorrowedFd<'a>,
}

const CREATE: u16 = flag(libc::NLM_F_CREATE | libc::NLM_F_EXCL);
const FAMILY: u8 = flag(libc::AF_INET) as u8;
const UP: u32 = libc::IFF_UP.cast_unsigned();

/// Attributes that the C library's bindings lack: of a veth pair and of a bridge's port.
const VETH_INFO_PEER: u16 = 1;
const IFLA_BRPORT_MODE: u16 = 4;

/// The lengths of the headers that the kernel's answers begin with.
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;

// === impl Links ===

impl Links {
    /// Connects to the tables of the calling thread's namespace.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self {
            socket: Socket::open(SockProtocol::NetlinkRoute)?,
        })
    }

    pub(crate) fn by_name(&mut self, name: &str) -> io::Result<Option<Link>> {
        let mut message = Message::new(libc::RTM_GETLINK, 0, &link_header(0, false));
        message.text(libc::IFLA_IFNAME, name);
        let answer = self.socket.query(message)?;
        Ok(answer.as_deref().and_then(parse_link))
    }

    pub(crate) fn ports_of(&mut self, bridge: u32) -> io::Result<Vec<Link>> {
        let message = Message::new(libc::RTM_GETLINK, 0, &link_header(0, false));
        let answers = self.socket.dump(message)?;
        let links = answers.iter().filter_map(|answer| parse_link(answer));
        Ok(links
            .filter(|link| link.controller == Some(bridge))
            .collect())
    }

    /// Creates a bridge and brings it up.
    pub(crate) fn create_bridge(&mut self, name: &str, mac: [u8; 6]) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, CREATE, &link_header(0, true));
        message
            .text(libc::IFLA_IFNAME, name)
            .attribute(libc::IFLA_ADDRESS, &mac)
            .nested(libc::IFLA_LINKINFO, |info| {
                info.text(libc::IFLA_INFO_KIND, "bridge");
            });
        self.execute(vec![message])
    }

    /// Creates the pair with the far end inside its namespace from the start, since moving an
    /// interface costs ten times as much, and brings the near end up as a port that may send a frame
    /// back to where it came from, as a container that calls its own published port needs.
    pub(crate) fn create_pair(&mut self, pair: &Pair<'_>) -> io::Result<()> {
        let mut create = Message::new(libc::RTM_NEWLINK, CREATE, &link_header(0, false));
        create
            .text(libc::IFLA_IFNAME, pair.name)
            .u32(libc::IFLA_MASTER, pair.bridge)
            .nested(libc::IFLA_LINKINFO, |info| {
                info.text(libc::IFLA_INFO_KIND, "veth");
                info.nested(libc::IFLA_INFO_DATA, |data| {
                    data.nested(VETH_INFO_PEER, |peer| {
                        let namespace = pair.peer_namespace.as_raw_fd().cast_unsigned();
                        peer.raw(&link_header(0, false))
                            .text(libc::IFLA_IFNAME, pair.peer_name)
                            .attribute(libc::IFLA_ADDRESS, &pair.peer_mac)
                            .u32(libc::IFLA_NET_NS_FD, namespace);
                    });
                });
            });
        let mut bring_up = Message::new(libc::RTM_NEWLINK, 0, &link_header(0, true));
        bring_up
            .text(libc::IFLA_IFNAME, pair.name)
            .nested(libc::IFLA_LINKINFO, port_that_sends_back);
        self.execute(vec![create, bring_up])
    }

    /// Makes an existing interface a port of a bridge again.
    pub(crate) fn connect_port(&mut self, index: u32, bridge: u32) -> io::Result<()> {
        let mut connect = Message::new(libc::RTM_NEWLINK, 0, &link_header(index, true));
        connect.u32(libc::IFLA_MASTER, bridge);
        let mut set_mode = Message::new(libc::RTM_NEWLINK, 0, &link_header(index, true));
        set_mode.nested(libc::IFLA_LINKINFO, port_that_sends_back);
        self.execute(vec![connect, set_mode])
    }

    /// Brings up the loopback interface.
    pub(crate) fn bring_up_loopback(&mut self) -> io::Result<()> {
        self.execute(vec![loopback_up()])
    }

    /// Brings up loopback and the named interface, with its address and a default route.
    pub(crate) fn configure(
        &mut self,
        name: &str,
        address: Ipv4Addr,
        subnet: Subnet,
    ) -> io::Result<()> {
        let index = self.by_name(name)?.ok_or(io::ErrorKind::NotFound)?.index;
        let up = Message::new(libc::RTM_NEWLINK, 0, &link_header(index, true));
        let route_header = [
            FAMILY,
            0,
            0,
            0,
            libc::RT_TABLE_MAIN,
            libc::RTPROT_BOOT,
            libc::RT_SCOPE_UNIVERSE,
            libc::RTN_UNICAST,
            0,
            0,
            0,
            0,
        ];
        let mut route = Message::new(libc::RTM_NEWROUTE, CREATE, &route_header);
        route
            .attribute(libc::RTA_GATEWAY, &subnet.gateway().octets())
            .u32(libc::RTA_OIF, index);
        self.execute(vec![
            loopback_up(),
            up,
            address_message(libc::RTM_NEWADDR, index, address, subnet),
            route,
        ])
    }

    pub(crate) fn bring_up(&mut self, index: u32) -> io::Result<()> {
        self.execute(vec![Message::new(
            libc::RTM_NEWLINK,
            0,
            &link_header(index, true),
        )])
    }

    pub(crate) fn add_address(
        &mut self,
        index: u32,
        address: Ipv4Addr,
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
        address: Ipv4Addr,
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
    pub(crate) fn addresses(&mut self) -> io::Result<Vec<(u32, Ipv4Addr, Subnet)>> {
        let mut header = [0; ADDRESS_HEADER];
        header[0] = FAMILY;
        let message = Message::new(libc::RTM_GETADDR, 0, &header);
        let answers = self.socket.dump(message)?;
        Ok(answers
            .iter()
            .filter_map(|answer| parse_address(answer))
            .collect())
    }

    /// Returns the networks that have routes, with the interfaces that these go through. Default
    /// routes are left out.
    pub(crate) fn routed_networks(&mut self) -> io::Result<Vec<(Option<u32>, Subnet)>> {
        let mut header = [0; ROUTE_HEADER];
        header[0] = FAMILY;
        let message = Message::new(libc::RTM_GETROUTE, 0, &header);
        let answers = self.socket.dump(message)?;
        Ok(answers
            .iter()
            .filter_map(|answer| parse_route(answer))
            .collect())
    }

    /// Removes an interface; that it is gone already is fine.
    pub(crate) fn remove(&mut self, index: u32) -> io::Result<()> {
        let message = Message::new(libc::RTM_DELLINK, 0, &link_header(index, false));
        match self.execute(vec![message]) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            result => result,
        }
    }

    fn execute(&mut self, messages: Vec<Message>) -> io::Result<()> {
        self.socket
            .execute(messages, |_| true)
            .map_err(|Failure { error, .. }| error)
    }
}

fn port_that_sends_back(info: &mut Message) {
    info.text(libc::IFLA_INFO_SLAVE_KIND, "bridge");
    info.nested(libc::IFLA_INFO_SLAVE_DATA, |data| {
        data.attribute(IFLA_BRPORT_MODE, &[1]);
    });
}

fn link_header(index: u32, up: bool) -> [u8; LINK_HEADER] {
    let mut header = [0; LINK_HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    if up {
        header[8..12].copy_from_slice(&UP.to_ne_bytes());
        header[12..16].copy_from_slice(&UP.to_ne_bytes());
    }
    header
}

/// In a new namespace the loopback interface is always the first.
fn loopback_up() -> Message {
    Message::new(libc::RTM_NEWLINK, 0, &link_header(1, true))
}

fn address_message(kind: u16, index: u32, address: Ipv4Addr, subnet: Subnet) -> Message {
    let mut header = [0; ADDRESS_HEADER];
    header[0] = FAMILY;
    header[1] = subnet.prefix();
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    let flags = if kind == libc::RTM_NEWADDR { CREATE } else { 0 };
    let mut message = Message::new(kind, flags, &header);
    message
        .attribute(libc::IFA_LOCAL, &address.octets())
        .attribute(libc::IFA_ADDRESS, &address.octets());
    if kind == libc::RTM_NEWADDR {
        message.attribute(libc::IFA_BROADCAST, &subnet.broadcast().octets());
    }
    message
}

fn parse_link(payload: &[u8]) -> Option<Link> {
    let (header, rest) = payload.split_first_chunk::<LINK_HEADER>()?;
    let mut link = Link {
        index: read_u32(&header[4..])?,
        name: String::new(),
        controller: None,
    };
    for (kind, value) in attributes(rest) {
        match kind {
            libc::IFLA_IFNAME => {
                let name = value.strip_suffix(&[0]).unwrap_or(value);
                link.name = String::from_utf8_lossy(name).into_owned();
            }
            libc::IFLA_MASTER => link.controller = read_u32(value),
            _ => {}
        }
    }
    Some(link)
}

fn parse_address(payload: &[u8]) -> Option<(u32, Ipv4Addr, Subnet)> {
    let (header, rest) = payload.split_first_chunk::<ADDRESS_HEADER>()?;
    let local = |wanted| {
        let mut all = attributes(rest);
        all.find_map(|(kind, value)| (kind == wanted).then(|| ipv4(value)).flatten())
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
    let destination = ipv4(find(libc::RTA_DST)?)?;
    let interface = find(libc::RTA_OIF).and_then(read_u32);
    (header[1] > 0).then(|| (interface, Subnet::containing(destination, header[1])))
}

fn ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    bytes
        .first_chunk()
        .map(|octets: &[u8; 4]| Ipv4Addr::from(*octets))
}
