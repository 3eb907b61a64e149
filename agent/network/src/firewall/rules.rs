//! The table's content, in words of the kernel.
//!
//! As `nft` would write it, for the bridge `berth0`:
//!
//! ```text
//! map published-any { type inet_proto . inet_service : ipv4_addr . inet_service }
//! map published-at  { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service }
//! chain guard {            # hook prerouting, before everything else
//!     iifname != "lo" ip daddr 127.0.0.0/8 drop
//!     iifname != "lo" ip saddr 127.0.0.0/8 drop }
//! chain inbound, local {   # hooks prerouting and output, translation
//!     dnat to meta l4proto . ip daddr . th dport map @published-at
//!     fib daddr type local dnat to meta l4proto . th dport map @published-any }
//! chain outbound {         # hook postrouting, translation
//!     ip saddr SUBNET oifname != "berth0" masquerade
//!     ip saddr SUBNET oifname "berth0" ct status dnat masquerade
//!     ip saddr 127.0.0.0/8 oifname "berth0" masquerade }
//! chain entry {            # hook forward
//!     oifname "berth0" ct state established,related accept
//!     oifname "berth0" ct status dnat accept
//!     oifname "berth0" iifname != "berth0" drop }
//! ```

use std::net::Ipv4Addr;

use super::Forward;
use super::expression::{
    Connection, FIRST, Field, Meta, Program, SECOND, THIRD, address_and_port, value,
};
use crate::Subnet;
use crate::netlink::Message;
use crate::netlink::message::flag;

/// One message of a change, with words for what it does.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) message: Message,
}

const TABLE: &str = "berth";

/// The maps of ports published on every address and on a particular one.
const PUBLISHED_ANY: &str = "published-any";
const PUBLISHED_AT: &str = "published-at";

const LOOPBACK: Subnet = Subnet::containing(Ipv4Addr::LOCALHOST, 8);

/// How many map elements go into one message, whose list must stay below 64 KiB.
const ELEMENTS: usize = 256;

/// Types of values as `nft` numbers them, six bits for each part of a concatenation. The kernel
/// only keeps them for `nft`.
const TYPE_ADDRESS: u32 = 7;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_PORT: u32 = 13;

/// Attribute numbers that tables, chains, rules, maps and elements share.
const OF_TABLE: u16 = 1;
const NAME: u16 = 2;

struct Chain {
    name: &'static str,
    kind: &'static str,
    hook: i32,
    priority: i32,
}

/// The chains in the order of the packet's way.
const CHAINS: [Chain; 5] = [
    Chain {
        name: "guard",
        kind: "filter",
        hook: libc::NF_INET_PRE_ROUTING,
        priority: libc::NF_IP_PRI_RAW,
    },
    Chain {
        name: "inbound",
        kind: "nat",
        hook: libc::NF_INET_PRE_ROUTING,
        priority: libc::NF_IP_PRI_NAT_DST,
    },
    Chain {
        name: "local",
        kind: "nat",
        hook: libc::NF_INET_LOCAL_OUT,
        priority: libc::NF_IP_PRI_NAT_DST,
    },
    Chain {
        name: "entry",
        kind: "filter",
        hook: libc::NF_INET_FORWARD,
        priority: libc::NF_IP_PRI_FILTER,
    },
    Chain {
        name: "outbound",
        kind: "nat",
        hook: libc::NF_INET_POST_ROUTING,
        priority: libc::NF_IP_PRI_NAT_SRC,
    },
];

pub(super) fn find_table() -> Message {
    let mut message = message(libc::NFT_MSG_GETTABLE, 0);
    message.text(OF_TABLE, TABLE);
    message
}

/// Returns the steps that replace the table, whether it is there or not.
pub(super) fn table(bridge: &str, subnet: Subnet) -> Vec<Step> {
    let mut steps = vec![
        table_step("find the firewall's table", libc::NFT_MSG_NEWTABLE),
        table_step("clear the firewall's table", libc::NFT_MSG_DELTABLE),
        table_step("create the firewall's table", libc::NFT_MSG_NEWTABLE),
        map(PUBLISHED_ANY, 1, &[TYPE_PROTOCOL, TYPE_PORT]),
        map(PUBLISHED_AT, 2, &[TYPE_PROTOCOL, TYPE_ADDRESS, TYPE_PORT]),
    ];
    steps.extend(CHAINS.iter().map(chain));
    steps.extend(guard());
    steps.extend(redirection("inbound"));
    steps.extend(redirection("local"));
    steps.extend(entry(bridge));
    steps.extend(outbound(bridge, subnet));
    steps
}

/// Keeps others from the machine's loopback services, which the loopback routing that published
/// ports need on the bridge would open, and from ports published on loopback only, which would be
/// translated before the kernel sees how wrong the address is.
fn guard() -> [Step; 2] {
    [Field::DestinationAddress, Field::SourceAddress].map(|field| {
        rule("add the rules that guard loopback", "guard", |program| {
            program
                .interface(Meta::InputInterface, "lo", false)
                .network(field, LOOPBACK)
                .drop();
        })
    })
}

fn redirection(chain: &'static str) -> [Step; 2] {
    let name = "add the rules for published ports";
    let at = rule(name, chain, |program| {
        program
            .meta(Meta::TransportProtocol, FIRST)
            .field(Field::DestinationAddress, SECOND)
            .field(Field::DestinationPort, THIRD)
            .lookup(PUBLISHED_AT)
            .redirect();
    });
    let any = rule(name, chain, |program| {
        program
            .local_destination()
            .meta(Meta::TransportProtocol, FIRST)
            .field(Field::DestinationPort, SECOND)
            .lookup(PUBLISHED_ANY)
            .redirect();
    });
    [at, any]
}

/// Keeps neighbours of the machine, who may use it as a router, from ports that are not published.
fn entry(bridge: &str) -> [Step; 3] {
    let name = "add the rules for forwarding";
    let accept = |connection| {
        rule(name, "entry", |program| {
            program
                .interface(Meta::OutputInterface, bridge, true)
                .connection(connection)
                .accept();
        })
    };
    let refuse = rule(name, "entry", |program| {
        program
            .interface(Meta::OutputInterface, bridge, true)
            .interface(Meta::InputInterface, bridge, false)
            .drop();
    });
    [
        accept(Connection::Established),
        accept(Connection::Redirected),
        refuse,
    ]
}

/// Containers speak to the world with the machine's address. So they do to each other through a
/// published port, since the answer would otherwise take the short way and not be translated back;
/// and so does the machine's loopback address, which means nothing to a container.
fn outbound(bridge: &str, subnet: Subnet) -> [Step; 3] {
    let name = "add the rules for address translation";
    let world = rule(name, "outbound", |program| {
        program
            .network(Field::SourceAddress, subnet)
            .interface(Meta::OutputInterface, bridge, false)
            .masquerade();
    });
    let hairpin = rule(name, "outbound", |program| {
        program
            .network(Field::SourceAddress, subnet)
            .interface(Meta::OutputInterface, bridge, true)
            .connection(Connection::Redirected)
            .masquerade();
    });
    let loopback = rule(name, "outbound", |program| {
        program
            .network(Field::SourceAddress, LOOPBACK)
            .interface(Meta::OutputInterface, bridge, true)
            .masquerade();
    });
    [world, hairpin, loopback]
}

pub(super) fn add_forwards(forwards: &[Forward]) -> impl Iterator<Item = Step> {
    elements(forwards, "add published ports", libc::NFT_MSG_NEWSETELEM)
}

pub(super) fn remove_forwards(forwards: &[Forward]) -> impl Iterator<Item = Step> {
    elements(forwards, "remove published ports", libc::NFT_MSG_DELSETELEM)
}

fn elements(forwards: &[Forward], name: &'static str, kind: i32) -> impl Iterator<Item = Step> {
    let (any, at): (Vec<Forward>, Vec<_>) = forwards
        .iter()
        .partition(|forward| forward.host_ip.is_unspecified());
    [(PUBLISHED_ANY, any), (PUBLISHED_AT, at)]
        .into_iter()
        .flat_map(move |(map, forwards)| {
            let messages: Vec<_> = forwards
                .chunks(ELEMENTS)
                .map(|forwards| Step {
                    name,
                    message: elements_message(kind, map, forwards),
                })
                .collect();
            messages
        })
}

fn elements_message(kind: i32, map: &str, forwards: &[Forward]) -> Message {
    const ELEMENTS_LIST: u16 = 3;
    const ELEMENT: u16 = 1;
    const KEY: u16 = 1;
    const DATA: u16 = 2;
    let adding = kind == libc::NFT_MSG_NEWSETELEM;
    let flags = if adding {
        libc::NLM_F_CREATE | libc::NLM_F_EXCL
    } else {
        0
    };
    let mut message = message(kind, flags);
    message
        .text(OF_TABLE, TABLE)
        .text(NAME, map)
        .nested(ELEMENTS_LIST, |list| {
            for forward in forwards {
                list.nested(ELEMENT, |element| {
                    value(element, KEY, &key(forward));
                    if adding {
                        let target = address_and_port(forward.container_ip, forward.container_port);
                        value(element, DATA, &target);
                    }
                });
            }
        });
    message
}

fn key(forward: &Forward) -> Vec<u8> {
    let [high, low] = forward.host_port.to_be_bytes();
    let mut key = vec![forward.protocol.number(), 0, 0, 0];
    if !forward.host_ip.is_unspecified() {
        key.extend(forward.host_ip.octets());
    }
    key.extend([high, low, 0, 0]);
    key
}

fn table_step(name: &'static str, kind: i32) -> Step {
    let flags = if kind == libc::NFT_MSG_NEWTABLE {
        libc::NLM_F_CREATE
    } else {
        0
    };
    let mut message = message(kind, flags);
    message.text(OF_TABLE, TABLE);
    Step { name, message }
}

fn chain(chain: &Chain) -> Step {
    const HOOK: u16 = 4;
    const KIND: u16 = 7;
    const CHAIN_NAME: u16 = 3;
    let mut message = message(libc::NFT_MSG_NEWCHAIN, libc::NLM_F_CREATE);
    message
        .text(OF_TABLE, TABLE)
        .text(CHAIN_NAME, chain.name)
        .nested(HOOK, |hook| {
            hook.be32(1, chain.hook.cast_unsigned())
                .be32(2, chain.priority.cast_unsigned());
        })
        .text(KIND, chain.kind);
    Step {
        name: "add the firewall's chains",
        message,
    }
}

fn map(name: &str, id: u32, key: &[u32]) -> Step {
    const FLAGS: u16 = 3;
    const KEY_TYPE: u16 = 4;
    const KEY_LENGTH: u16 = 5;
    const DATA_TYPE: u16 = 6;
    const DATA_LENGTH: u16 = 7;
    const ID: u16 = 10;
    const FLAG_MAP: u32 = 0x8;
    let concatenated = |types: &[u32]| types.iter().fold(0, |all, one| all << 6 | one);
    let length = u32::try_from(key.len() * 4).unwrap_or_default();
    let mut message = message(libc::NFT_MSG_NEWSET, libc::NLM_F_CREATE);
    message
        .text(OF_TABLE, TABLE)
        .text(NAME, name)
        .be32(FLAGS, FLAG_MAP)
        .be32(KEY_TYPE, concatenated(key))
        .be32(KEY_LENGTH, length)
        .be32(DATA_TYPE, concatenated(&[TYPE_ADDRESS, TYPE_PORT]))
        .be32(DATA_LENGTH, 8)
        .be32(ID, id);
    Step {
        name: "add the firewall's maps",
        message,
    }
}

fn rule(name: &'static str, chain: &str, program: impl FnOnce(&mut Program<'_>)) -> Step {
    const EXPRESSIONS: u16 = 4;
    let mut message = message(
        libc::NFT_MSG_NEWRULE,
        libc::NLM_F_CREATE | libc::NLM_F_APPEND,
    );
    message
        .text(OF_TABLE, TABLE)
        .text(NAME, chain)
        .nested(EXPRESSIONS, |list| program(&mut Program::new(list)));
    Step { name, message }
}

fn message(kind: i32, flags: i32) -> Message {
    /// All tables here are of the IPv4 family; version and resource id are zero.
    const FAMILY_HEADER: [u8; 4] = [flag(libc::NFPROTO_IPV4) as u8, 0, 0, 0];
    Message::new(
        flag(libc::NFNL_SUBSYS_NFTABLES << 8 | kind),
        flag(flags),
        &FAMILY_HEADER,
    )
}
