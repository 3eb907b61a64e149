//! The tables' content, in words of the kernel.
//!
//! As `nft` would write it, for IPv4; a second table of the same name is there for IPv6 while some
//! network has it:
//!
//! ```text
//! set bridges   { type ifname }           # of all networks
//! set internal  { type ifname }           # of those that nothing enters or leaves
//! set within    { type ifname . ifname }  # each bridge and itself
//! map published-any { type inet_proto . inet_service : ipv4_addr . inet_service }
//! map published-at  { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service }
//! chain guard {            # hook prerouting, before everything else
//!     iifname != "lo" ip daddr 127.0.0.0/8 drop
//!     iifname != "lo" ip saddr 127.0.0.0/8 drop }
//! chain inbound, local {   # hooks prerouting and output, translation
//!     dnat to meta l4proto . ip daddr . th dport map @published-at
//!     fib daddr type local dnat to meta l4proto . th dport map @published-any }
//! chain outbound {         # hook postrouting, translation; the first two for each network
//!     ip saddr SUBNET oifname != "berth0" masquerade
//!     ip saddr SUBNET oifname "berth0" ct status dnat masquerade
//!     ip saddr 127.0.0.0/8 oifname @bridges masquerade }
//! chain entry {            # hook forward
//!     iifname . oifname @within accept
//!     iifname @internal drop
//!     oifname @internal drop
//!     oifname @bridges ct state established,related accept
//!     oifname @bridges ct status dnat accept
//!     oifname @bridges drop }
//! ```

use std::net::{IpAddr, Ipv4Addr};

use super::expression::{Connection, FIRST, Field, Meta, Register};
use super::table::{CHAINS, Step, Table, ifname};
use super::{Forward, NetworkRules};
use crate::Subnet;

/// The maps of ports published on every address and on a particular one.
pub(super) const PUBLISHED_ANY: &str = "published-any";
pub(super) const PUBLISHED_AT: &str = "published-at";

const BRIDGES: &str = "bridges";
const INTERNAL: &str = "internal";
const WITHIN: &str = "within";

/// Types of values as `nft` numbers them, six bits for each part of a concatenation. The kernel
/// only keeps them for `nft`.
const TYPE_ADDRESS: u32 = 7;
const TYPE_ADDRESS6: u32 = 8;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_PORT: u32 = 13;
const TYPE_INTERFACE: u32 = 41;

fn loopback() -> Subnet {
    Subnet::containing(Ipv4Addr::LOCALHOST.into(), 8)
}

/// Returns the steps that replace a table, whether it is there or not.
pub(super) fn replace(table: Table, networks: &[NetworkRules]) -> Vec<Step> {
    let mut steps = clear(table);
    let (address, length) = if table.is_ipv4 {
        (TYPE_ADDRESS, 4)
    } else {
        (TYPE_ADDRESS6, 16)
    };
    steps.push(table.create());
    let target = (&[address, TYPE_PORT][..], length + 4);
    steps.extend([
        table.map(PUBLISHED_ANY, 1, (&[TYPE_PROTOCOL, TYPE_PORT], 8), target),
        table.map(
            PUBLISHED_AT,
            2,
            (&[TYPE_PROTOCOL, address, TYPE_PORT], length + 8),
            target,
        ),
        table.set(BRIDGES, 3, &[TYPE_INTERFACE], 16),
        table.set(INTERNAL, 4, &[TYPE_INTERFACE], 16),
        table.set(WITHIN, 5, &[TYPE_INTERFACE, TYPE_INTERFACE], 32),
    ]);
    let names = networks.iter().map(|network| ifname(&network.bridge));
    let names: Vec<Vec<u8>> = names.collect();
    let internal = networks.iter().filter(|network| network.internal);
    let internal: Vec<Vec<u8>> = internal.map(|network| ifname(&network.bridge)).collect();
    let within: Vec<Vec<u8>> = names.iter().map(|name| name.repeat(2)).collect();
    for (set, members) in [(BRIDGES, names), (INTERNAL, internal), (WITHIN, within)] {
        steps.extend(table.add_members("list the bridges", set, &members));
    }
    steps.extend(CHAINS.iter().map(|chain| table.chain(chain)));
    if table.is_ipv4 {
        steps.extend(guard(table));
    }
    steps.extend(redirection(table, "inbound"));
    steps.extend(redirection(table, "local"));
    steps.extend(entry(table));
    for network in networks {
        steps.extend(outbound(table, network));
    }
    if table.is_ipv4 {
        steps.push(loopback_outbound(table));
    }
    steps
}

/// Returns the steps after which there is no table.
pub(super) fn clear(table: Table) -> Vec<Step> {
    vec![table.find_or_create(), table.remove()]
}

/// Keeps others from the machine's loopback services, which the loopback routing that published
/// ports need on the bridge would open, and from ports published on loopback only, which would be
/// translated before the kernel sees how wrong the address is.
fn guard(table: Table) -> [Step; 2] {
    [Field::DestinationAddress, Field::SourceAddress].map(|field| {
        table.rule("add the rules that guard loopback", "guard", |program| {
            program
                .interface(Meta::InputInterface, "lo", false)
                .network(field, loopback())
                .drop();
        })
    })
}

fn redirection(table: Table, chain: &'static str) -> [Step; 2] {
    let name = "add the rules for published ports";
    let at = table.rule(name, chain, |program| {
        let port = program.after_address(1);
        program
            .meta(Meta::TransportProtocol, FIRST)
            .field(Field::DestinationAddress, Register(FIRST.0 + 1))
            .field(Field::DestinationPort, port)
            .lookup(PUBLISHED_AT)
            .redirect();
    });
    let any = table.rule(name, chain, |program| {
        program
            .local_destination()
            .meta(Meta::TransportProtocol, FIRST)
            .field(Field::DestinationPort, Register(FIRST.0 + 1))
            .lookup(PUBLISHED_ANY)
            .redirect();
    });
    [at, any]
}

/// Keeps neighbours of the machine, who may use it as a router, and containers of other networks from
/// ports that are not published.
fn entry(table: Table) -> [Step; 6] {
    let name = "add the rules for forwarding";
    let to_bridges = |connection| {
        table.rule(name, "entry", |program| {
            program
                .interface_in(Meta::OutputInterface, BRIDGES)
                .connection(connection)
                .accept();
        })
    };
    let internal = |meta| {
        table.rule(name, "entry", |program| {
            program.interface_in(meta, INTERNAL).drop();
        })
    };
    [
        table.rule(name, "entry", |program| program.between(WITHIN).accept()),
        internal(Meta::InputInterface),
        internal(Meta::OutputInterface),
        to_bridges(Connection::Established),
        to_bridges(Connection::Redirected),
        table.rule(name, "entry", |program| {
            program.interface_in(Meta::OutputInterface, BRIDGES).drop();
        }),
    ]
}

/// Containers speak to the world with the machine's address. So they do to each other through a
/// published port, since the answer would otherwise take the short way and not be translated back.
fn outbound(table: Table, network: &NetworkRules) -> Vec<Step> {
    let name = "add the rules for address translation";
    let bridge = &network.bridge;
    let mut steps = Vec::new();
    let own = network
        .subnets
        .iter()
        .filter(|subnet| subnet.is_ipv4() == table.is_ipv4);
    for subnet in own {
        if network.masquerade && !network.internal {
            steps.push(table.rule(name, "outbound", |program| {
                program
                    .network(Field::SourceAddress, *subnet)
                    .interface(Meta::OutputInterface, bridge, false)
                    .masquerade();
            }));
        }
        steps.push(table.rule(name, "outbound", |program| {
            program
                .network(Field::SourceAddress, *subnet)
                .interface(Meta::OutputInterface, bridge, true)
                .connection(Connection::Redirected)
                .masquerade();
        }));
    }
    steps
}

/// The machine's loopback address means nothing to a container.
fn loopback_outbound(table: Table) -> Step {
    table.rule(
        "add the rules for address translation",
        "outbound",
        |program| {
            program
                .network(Field::SourceAddress, loopback())
                .interface_in(Meta::OutputInterface, BRIDGES)
                .masquerade();
        },
    )
}

pub(super) fn add_forwards(table: Table, forwards: &[Forward]) -> Vec<Step> {
    elements(table, forwards, true)
}

pub(super) fn remove_forwards(table: Table, forwards: &[Forward]) -> Vec<Step> {
    elements(table, forwards, false)
}

fn elements(table: Table, forwards: &[Forward], adding: bool) -> Vec<Step> {
    let own = forwards
        .iter()
        .filter(|forward| forward.host_ip.is_ipv4() == table.is_ipv4);
    let (any, at): (Vec<Forward>, Vec<_>) =
        own.partition(|forward| forward.host_ip.is_unspecified());
    let mut steps = Vec::new();
    for (map, forwards) in [(PUBLISHED_ANY, any), (PUBLISHED_AT, at)] {
        steps.extend(table.change_forwards(map, &forwards, adding));
    }
    steps
}

/// Returns the steps that send a container's questions for names to this port of its own loopback.
pub(super) fn name_service(table: Table, at: IpAddr, ports: [(u8, u16); 2]) -> Vec<Step> {
    let mut steps = clear(table);
    steps.extend([table.create(), table.chain(&CHAINS[2])]);
    for (protocol, port) in ports {
        steps.push(table.rule(
            "send questions for names to the agent",
            "local",
            |program| {
                program
                    .network(Field::DestinationAddress, Subnet::containing(at, 32))
                    .service(protocol, 53)
                    .load(&super::expression::octets(at), FIRST)
                    .load(&port.to_be_bytes(), Register(FIRST.0 + 1))
                    .redirect();
            },
        ));
    }
    steps
}
