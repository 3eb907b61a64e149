//! Interfaces of one network namespace.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::sys::socket::SockProtocol;

use super::message::{flag, read_u32};
use super::{Failure, Message, Socket, attributes};
use crate::definition::{IpvlanMode, MacvlanMode};

/// A connection to the kernel's tables of one namespace.
#[derive(Debug)]
pub(crate) struct Links {
    pub(super) socket: Socket,
}

/// What is known about an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// The index of the bridge that it is a port of.
    pub(crate) controller: Option<u32>,
    /// A text that somebody gave it.
    pub(crate) alias: String,
    pub(crate) is_bridge: bool,
}

/// An interface for a container, made inside its namespace from the start, since moving one costs ten
/// times as much.
#[derive(Debug)]
pub(crate) struct Inside<'a> {
    pub(crate) name: &'a str,
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) namespace: BorrowedFd<'a>,
    pub(crate) mtu: Option<u32>,
}

/// The machine's side of a container's interface: a port of a bridge.
#[derive(Debug)]
pub(crate) struct Port<'a> {
    pub(crate) name: &'a str,
    pub(crate) bridge: u32,
    /// It does not talk to other ports that are isolated.
    pub(crate) isolated: bool,
}

/// How a container's interface relates to its parent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Child {
    Macvlan(MacvlanMode),
    Ipvlan(IpvlanMode),
}

pub(super) const CREATE: u16 = flag(libc::NLM_F_CREATE | libc::NLM_F_EXCL);
const UP: u32 = libc::IFF_UP.cast_unsigned();

/// Attributes that the C library's bindings lack: of a veth pair, of a bridge's port, of others.
const VETH_INFO_PEER: u16 = 1;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_VLAN_ID: u16 = 1;

/// The length of the header that the kernel's answers begin with.
const LINK_HEADER: usize = 16;

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
        let mut links = self.all()?;
        links.retain(|link| link.controller == Some(bridge));
        Ok(links)
    }

    pub(crate) fn all(&mut self) -> io::Result<Vec<Link>> {
        let message = Message::new(libc::RTM_GETLINK, 0, &link_header(0, false));
        let answers = self.socket.dump(message)?;
        Ok(answers
            .iter()
            .filter_map(|answer| parse_link(answer))
            .collect())
    }

    /// Creates a bridge, marked by an alias, and brings it up.
    pub(crate) fn create_bridge(
        &mut self,
        name: &str,
        mac: [u8; 6],
        (mtu, alias): (Option<u32>, &str),
    ) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, CREATE, &link_header(0, true));
        message
            .text(libc::IFLA_IFNAME, name)
            .attribute(libc::IFLA_ADDRESS, &mac);
        if let Some(mtu) = mtu {
            message.u32(libc::IFLA_MTU, mtu);
        }
        message.nested(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_KIND, "bridge");
        });
        self.execute(vec![message, mark(name, alias)])
    }

    /// Creates an interface that leads nowhere, marked by an alias, and brings it up.
    pub(crate) fn create_dummy(&mut self, name: &str, alias: &str) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, CREATE, &link_header(0, true));
        message
            .text(libc::IFLA_IFNAME, name)
            .nested(libc::IFLA_LINKINFO, |info| {
                info.text(libc::IFLA_INFO_KIND, "dummy");
            });
        self.execute(vec![message, mark(name, alias)])
    }

    /// Creates a VLAN on an interface, marked by an alias, and brings it up.
    pub(crate) fn create_vlan(
        &mut self,
        name: &str,
        alias: &str,
        (parent, id): (u32, u16),
    ) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, CREATE, &link_header(0, true));
        message
            .text(libc::IFLA_IFNAME, name)
            .u32(libc::IFLA_LINK, parent)
            .nested(libc::IFLA_LINKINFO, |info| {
                info.text(libc::IFLA_INFO_KIND, "vlan");
                info.nested(libc::IFLA_INFO_DATA, |data| {
                    data.attribute(IFLA_VLAN_ID, &id.to_ne_bytes());
                });
            });
        self.execute(vec![message, mark(name, alias)])
    }

    /// Creates a pair of which one end is inside a namespace and the other a port that may send a
    /// frame back to where it came from, as a container that calls its own published port needs.
    pub(crate) fn create_pair(&mut self, port: &Port<'_>, inside: &Inside<'_>) -> io::Result<()> {
        let mut create = Message::new(libc::RTM_NEWLINK, CREATE, &link_header(0, false));
        create
            .text(libc::IFLA_IFNAME, port.name)
            .u32(libc::IFLA_MASTER, port.bridge);
        if let Some(mtu) = inside.mtu {
            create.u32(libc::IFLA_MTU, mtu);
        }
        create.nested(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_KIND, "veth");
            info.nested(libc::IFLA_INFO_DATA, |data| {
                data.nested(VETH_INFO_PEER, |peer| {
                    peer.raw(&link_header(0, false));
                    describe(peer, inside);
                });
            });
        });
        let mut bring_up = Message::new(libc::RTM_NEWLINK, 0, &link_header(0, true));
        bring_up
            .text(libc::IFLA_IFNAME, port.name)
            .nested(libc::IFLA_LINKINFO, |info| as_port(info, port.isolated));
        self.execute(vec![create, bring_up])
    }

    /// Creates an interface on a parent inside a namespace.
    pub(crate) fn create_child(
        &mut self,
        parent: u32,
        child: Child,
        inside: &Inside<'_>,
    ) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, CREATE, &link_header(0, false));
        message.u32(libc::IFLA_LINK, parent);
        describe(&mut message, inside);
        message.nested(libc::IFLA_LINKINFO, |info| match child {
            Child::Macvlan(mode) => {
                info.text(libc::IFLA_INFO_KIND, "macvlan");
                info.nested(libc::IFLA_INFO_DATA, |data| {
                    data.u32(IFLA_MACVLAN_MODE, macvlan_number(mode));
                });
            }
            Child::Ipvlan(mode) => {
                info.text(libc::IFLA_INFO_KIND, "ipvlan");
                info.nested(libc::IFLA_INFO_DATA, |data| {
                    data.attribute(IFLA_IPVLAN_MODE, &ipvlan_number(mode).to_ne_bytes());
                });
            }
        });
        self.execute(vec![message])
    }

    /// Makes an existing interface a port of a bridge again.
    pub(crate) fn connect_port(
        &mut self,
        index: u32,
        bridge: u32,
        isolated: bool,
    ) -> io::Result<()> {
        let mut connect = Message::new(libc::RTM_NEWLINK, 0, &link_header(index, true));
        connect.u32(libc::IFLA_MASTER, bridge);
        let mut set_mode = Message::new(libc::RTM_NEWLINK, 0, &link_header(index, true));
        set_mode.nested(libc::IFLA_LINKINFO, |info| as_port(info, isolated));
        self.execute(vec![connect, set_mode])
    }

    /// Gives an interface an alias.
    pub(crate) fn set_alias(&mut self, index: u32, alias: &str) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, 0, &link_header(index, false));
        message.text(libc::IFLA_IFALIAS, alias);
        self.execute(vec![message])
    }

    /// Brings up the loopback interface.
    pub(crate) fn bring_up_loopback(&mut self) -> io::Result<()> {
        self.execute(vec![loopback_up()])
    }

    pub(crate) fn bring_up(&mut self, index: u32) -> io::Result<()> {
        self.execute(vec![up(index)])
    }

    /// Removes an interface; that it is gone already is fine.
    pub(crate) fn remove(&mut self, index: u32) -> io::Result<()> {
        let message = Message::new(libc::RTM_DELLINK, 0, &link_header(index, false));
        match self.execute(vec![message]) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            result => result,
        }
    }

    pub(super) fn execute(&mut self, messages: Vec<Message>) -> io::Result<()> {
        self.socket
            .execute(messages, |_| true)
            .map_err(|Failure { error, .. }| error)
    }
}

/// Gives an interface its alias, which the kernel does not look at when it makes one.
fn mark(name: &str, alias: &str) -> Message {
    let mut message = Message::new(libc::RTM_NEWLINK, 0, &link_header(0, false));
    message
        .text(libc::IFLA_IFNAME, name)
        .text(libc::IFLA_IFALIAS, alias);
    message
}

fn describe(message: &mut Message, inside: &Inside<'_>) {
    message.text(libc::IFLA_IFNAME, inside.name);
    if let Some(mac) = inside.mac {
        message.attribute(libc::IFLA_ADDRESS, &mac);
    }
    if let Some(mtu) = inside.mtu {
        message.u32(libc::IFLA_MTU, mtu);
    }
    message.u32(
        libc::IFLA_NET_NS_FD,
        inside.namespace.as_raw_fd().cast_unsigned(),
    );
}

fn as_port(info: &mut Message, isolated: bool) {
    info.text(libc::IFLA_INFO_SLAVE_KIND, "bridge");
    info.nested(libc::IFLA_INFO_SLAVE_DATA, |data| {
        data.attribute(IFLA_BRPORT_MODE, &[1]);
        if isolated {
            data.attribute(IFLA_BRPORT_ISOLATED, &[1]);
        }
    });
}

fn macvlan_number(mode: MacvlanMode) -> u32 {
    match mode {
        MacvlanMode::Private => 1,
        MacvlanMode::Vepa => 2,
        MacvlanMode::Bridge => 4,
        MacvlanMode::Passthru => 8,
    }
}

fn ipvlan_number(mode: IpvlanMode) -> u16 {
    match mode {
        IpvlanMode::L2 => 0,
        IpvlanMode::L3 => 1,
        IpvlanMode::L3s => 2,
    }
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

pub(super) fn up(index: u32) -> Message {
    Message::new(libc::RTM_NEWLINK, 0, &link_header(index, true))
}

/// In a new namespace the loopback interface is always the first.
pub(super) fn loopback_up() -> Message {
    up(1)
}

fn parse_link(payload: &[u8]) -> Option<Link> {
    let (header, rest) = payload.split_first_chunk::<LINK_HEADER>()?;
    let mut link = Link {
        index: read_u32(&header[4..])?,
        name: String::new(),
        controller: None,
        alias: String::new(),
        is_bridge: false,
    };
    let text = |value: &[u8]| {
        let value = value.strip_suffix(&[0]).unwrap_or(value);
        String::from_utf8_lossy(value).into_owned()
    };
    for (kind, value) in attributes(rest) {
        match kind {
            libc::IFLA_IFNAME => link.name = text(value),
            libc::IFLA_IFALIAS => link.alias = text(value),
            libc::IFLA_LINKINFO => {
                link.is_bridge = attributes(value)
                    .any(|(kind, value)| kind == libc::IFLA_INFO_KIND && value == b"bridge\0");
            }
            libc::IFLA_MASTER => link.controller = read_u32(value),
            _ => {}
        }
    }
    Some(link)
}
