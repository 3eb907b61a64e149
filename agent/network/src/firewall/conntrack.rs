//! Connection tracking: making the kernel forget where the datagrams of a port went so far.
//!
//! Translation is decided by a connection's first packet. UDP has no connections, so a client that
//! keeps sending from one port would for ever reach what was there before the port was published, or
//! the container that had it before.

use std::io;

use super::Forward;
use super::expression::octets;
use crate::Protocol;
use crate::netlink::{Failure, Message, Socket, attributes};

/// Messages and attributes of the kernel's connection tracking interface, in its names.
const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const IPCTNL_MSG_CT_GET: u16 = 1;
const IPCTNL_MSG_CT_DELETE: u16 = 2;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_DST: u16 = 2;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_ID: u16 = 12;

/// The length of the header that the kernel's answers begin with.
const HEADER: usize = 4;

/// Where the first packet of a tracked connection was sent to, before any translation.
#[derive(Debug, PartialEq, Eq)]
struct Destination<'a> {
    address: &'a [u8],
    protocol: u8,
    port: u16,
}

/// Forgets the datagram flows that were sent to any of these published ports.
pub(super) fn forget(socket: &mut Socket, forwards: &[Forward]) -> io::Result<()> {
    let forwards: Vec<_> = forwards
        .iter()
        .filter(|forward| forward.protocol == Protocol::Udp && forward.host_ip.is_ipv4())
        .collect();
    if forwards.is_empty() {
        return Ok(());
    }
    for flow in socket.dump(message(IPCTNL_MSG_CT_GET))? {
        let Some((tuple, id, destination)) = parse(&flow) else {
            continue;
        };
        if !forwards
            .iter()
            .any(|forward| matches(forward, &destination))
        {
            continue;
        }
        let mut delete = message(IPCTNL_MSG_CT_DELETE);
        delete
            .nested(CTA_TUPLE_ORIG, |nest| {
                nest.raw(tuple);
            })
            .attribute(CTA_ID, id);
        match socket.execute(vec![delete], |_| true) {
            // It ended by itself in the meantime.
            Err(Failure { error, .. }) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(Failure { error, .. }) => return Err(error),
            Ok(()) => {}
        }
    }
    Ok(())
}

fn matches(forward: &Forward, destination: &Destination<'_>) -> bool {
    destination.protocol == forward.protocol.number()
        && destination.port == forward.host_port
        && (forward.host_ip.is_unspecified() || destination.address == octets(forward.host_ip))
}

/// Returns the bytes that name the flow to the kernel, its id, and its destination.
fn parse(flow: &[u8]) -> Option<(&[u8], &[u8], Destination<'_>)> {
    let attribute = |bytes, wanted| {
        attributes(bytes).find_map(|(kind, value): (u16, &[u8])| (kind == wanted).then_some(value))
    };
    let flow = flow.get(HEADER..)?;
    let tuple = attribute(flow, CTA_TUPLE_ORIG)?;
    let protocol = attribute(tuple, CTA_TUPLE_PROTO)?;
    let destination = Destination {
        address: attribute(attribute(tuple, CTA_TUPLE_IP)?, CTA_IP_V4_DST)?,
        protocol: *attribute(protocol, CTA_PROTO_NUM)?.first()?,
        port: u16::from_be_bytes(*attribute(protocol, CTA_PROTO_DST_PORT)?.first_chunk()?),
    };
    Some((tuple, attribute(flow, CTA_ID)?, destination))
}

fn message(kind: u16) -> Message {
    /// IPv4; version and resource id are zero.
    const FAMILY_HEADER: [u8; HEADER] = [libc::AF_INET as u8, 0, 0, 0];
    Message::new(NFNL_SUBSYS_CTNETLINK << 8 | kind, 0, &FAMILY_HEADER)
}
