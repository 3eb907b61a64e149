//! The few requests to the kernel's network that a machine needs, one after the other.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;

/// A connection to the network of the namespace that this process is in.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
}

/// A cable between the host and a machine.
#[derive(Debug)]
pub(crate) struct Cable<'a> {
    /// The name of the host's end.
    pub(crate) host_end: &'a str,
    /// The host's bridge that it is plugged into.
    pub(crate) bridge: u32,
    /// The name of the machine's end.
    pub(crate) machine_end: &'a str,
    /// The hardware address of the machine's end.
    pub(crate) hardware_address: [u8; 6],
    /// A process in the machine's network namespace.
    pub(crate) process: u32,
}

/// Returns the number of interface `name`, if there is one.
pub(crate) fn interface(name: &str) -> io::Result<Option<u32>> {
    match nix::net::if_::if_nametoindex(name) {
        Ok(index) => Ok(Some(index)),
        Err(Errno::ENODEV | Errno::ENXIO) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

impl Netlink {
    /// Opens a connection.
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Makes a bridge, unless it is there.
    pub(crate) fn add_bridge(&mut self, name: &str, hardware_address: [u8; 6]) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            // A fixed address: the bridge would otherwise take on that of one of its ports.
            LinkAttribute::Address(hardware_address.to_vec()),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]),
        ];
        unless_there(self.create(RouteNetlinkMessage::NewLink(message)))
    }

    /// Makes a cable whose far end is in another process's network from the start.
    pub(crate) fn add_cable(&mut self, cable: &Cable<'_>) -> io::Result<()> {
        let mut peer = LinkMessage::default();
        peer.attributes = vec![
            LinkAttribute::IfName(cable.machine_end.to_owned()),
            LinkAttribute::Address(cable.hardware_address.to_vec()),
            LinkAttribute::NetNsPid(cable.process),
        ];
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(cable.host_end.to_owned()),
            LinkAttribute::Controller(cable.bridge),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Veth),
                LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
            ]),
        ];
        self.create(RouteNetlinkMessage::NewLink(message))
    }

    /// Switches an interface on, with a note on it.
    pub(crate) fn switch_on(&mut self, index: u32, note: Option<&str>) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes = note
            .map(|note| LinkAttribute::IfAlias(note.to_owned()))
            .into_iter()
            .collect();
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.request(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Removes the interface called `name`, if there is one.
    pub(crate) fn remove(&mut self, name: &str) -> io::Result<()> {
        let Some(index) = interface(name)? else {
            return Ok(());
        };
        let mut message = LinkMessage::default();
        message.header.index = index;
        match self.request(RouteNetlinkMessage::DelLink(message), 0) {
            Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => Ok(()),
            result => result,
        }
    }

    /// Gives an interface an address, unless it has it.
    pub(crate) fn add_address(
        &mut self,
        index: u32,
        address: Ipv4Addr,
        prefix: u8,
    ) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = prefix;
        message.header.index = index;
        message.attributes = vec![
            AddressAttribute::Local(IpAddr::V4(address)),
            AddressAttribute::Address(IpAddr::V4(address)),
        ];
        unless_there(self.create(RouteNetlinkMessage::NewAddress(message)))
    }

    /// Sends everything that is not near to `gateway`.
    pub(crate) fn add_default_route(&mut self, gateway: Ipv4Addr) -> io::Result<()> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.scope = RouteScope::Universe;
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![RouteAttribute::Gateway(RouteAddress::Inet(gateway))];
        self.create(RouteNetlinkMessage::NewRoute(message))
    }

    fn create(&mut self, message: RouteNetlinkMessage) -> io::Result<()> {
        self.request(message, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Sends one request and waits for the kernel's answer to it.
    fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        header.sequence_number = self.sequence;
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
        packet.finalize();
        let mut buffer = vec![0; packet.buffer_len()];
        packet.serialize(&mut buffer);
        self.socket.send(&buffer, 0)?;
        loop {
            let (answer, _sender) = self.socket.recv_from_full()?;
            let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if answer.header.sequence_number != self.sequence {
                continue;
            }
            if let NetlinkPayload::Error(error) = answer.payload {
                return match error.code {
                    None => Ok(()),
                    Some(_) => Err(error.to_io()),
                };
            }
        }
    }
}

fn unless_there(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(Errno::EEXIST as i32) => Ok(()),
        result => result,
    }
}
