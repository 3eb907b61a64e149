//! Address translation and packet filtering: nftables tables that nobody else touches.
//!
//! The rules change when networks come and go; then the whole table is replaced, without a moment in
//! which it is missing. While containers come and go only one map changes, from published ports to
//! containers, an element at a time. Every change is one transaction of the kernel.
//!
//! The kernel is spoken to directly, so that the `nft` program needs not be installed; it shows
//! the table all the same: `nft list table ip berth`.

mod conntrack;
mod expression;
mod foreign;
mod rules;
mod table;

use std::io;
use std::net::IpAddr;

use nix::sys::socket::SockProtocol;

use crate::netlink::message::flag;
use crate::netlink::{Failure, Message, Socket};
use crate::{Protocol, Subnet};
use table::{Step, Table};

/// A connection to the firewall of one network namespace.
#[derive(Debug)]
pub(crate) struct Firewall {
    socket: Socket,
    /// Whether there is a table for IPv6; nothing: nobody has looked.
    has_ipv6: Option<bool>,
}

/// What the firewall needs to know of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NetworkRules {
    pub(crate) bridge: String,
    pub(crate) subnets: Vec<Subnet>,
    pub(crate) internal: bool,
    pub(crate) masquerade: bool,
}

/// One published port and the container that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forward {
    pub(crate) protocol: Protocol,
    /// Unspecified for all addresses of the machine.
    pub(crate) host_ip: IpAddr,
    pub(crate) host_port: u16,
    /// Of the same family.
    pub(crate) container_ip: IpAddr,
    pub(crate) container_port: u16,
}

/// The failure of a change of the firewall, of which nothing has taken effect.
#[derive(Debug)]
pub(crate) struct FirewallError {
    /// What was being done.
    pub(crate) step: &'static str,
    pub(crate) source: io::Error,
}

const IPV4: Table = Table {
    is_ipv4: true,
    name: table::NAME,
};
const IPV6: Table = Table {
    is_ipv4: false,
    name: table::NAME,
};

// === impl Firewall ===

impl Firewall {
    /// Connects to the firewall of the calling thread's namespace.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self {
            socket: Socket::open(SockProtocol::NetlinkNetFilter)?,
            has_ipv6: None,
        })
    }

    /// Says whether the table is there; other programs may flush the whole firewall.
    pub(crate) fn is_set_up(&mut self) -> io::Result<bool> {
        Ok(self.socket.query(IPV4.find())?.is_some())
    }

    /// Puts the tables in place, replacing older ones, with these published ports.
    pub(crate) fn replace(
        &mut self,
        networks: &[NetworkRules],
        forwards: &[Forward],
    ) -> Result<(), FirewallError> {
        let wants_ipv6 = networks
            .iter()
            .any(|network| network.subnets.iter().any(|s| !s.is_ipv4()));
        let mut steps = rules::replace(IPV4, networks);
        steps.extend(rules::add_forwards(IPV4, forwards));
        if wants_ipv6 {
            steps.extend(rules::replace(IPV6, networks));
            steps.extend(rules::add_forwards(IPV6, forwards));
        } else if self.knows_ipv6() {
            steps.extend(rules::clear(IPV6));
        }
        self.commit(steps)?;
        self.has_ipv6 = Some(wants_ipv6);
        Ok(())
    }

    /// Whether there is a Docker's firewall.
    pub(crate) fn finds_docker(&mut self) -> bool {
        foreign::exists(&mut self.socket)
    }

    /// Brings Docker's firewall, if there is one, to letting the packets of these bridges pass, except to
    /// bridges of others. It is not ours, so that nobody fails for it.
    pub(crate) fn pass_docker(&mut self, bridges: &[String], others: &[String]) {
        let steps = foreign::steps(&mut self.socket, bridges, others);
        let changed = match steps {
            Ok(steps) if steps.is_empty() => Ok(()),
            Ok(steps) => self.commit(steps).map_err(|error| error.source),
            Err(error) => Err(error),
        };
        if let Err(error) = changed {
            tracing::warn!(%error, "Docker's firewall was not told of the bridges");
        }
    }

    /// Takes the tables away.
    pub(crate) fn clear(&mut self) -> Result<(), FirewallError> {
        let mut steps = rules::clear(IPV4);
        if self.knows_ipv6() {
            steps.extend(rules::clear(IPV6));
        }
        self.commit(steps)?;
        self.has_ipv6 = Some(false);
        Ok(())
    }

    fn knows_ipv6(&mut self) -> bool {
        match self.has_ipv6 {
            Some(known) => known,
            // A kernel without IPv6 refuses the question.
            None => self
                .socket
                .query(IPV6.find())
                .is_ok_and(|found| found.is_some()),
        }
    }

    /// Sends the questions for names of the namespace to these ports (protocol and number) of an
    /// address of its own.
    pub(crate) fn serve_names(
        &mut self,
        at: IpAddr,
        ports: [(u8, u16); 2],
    ) -> Result<(), FirewallError> {
        self.commit(rules::name_service(IPV4, at, ports))
    }

    pub(crate) fn add(&mut self, forwards: &[Forward]) -> Result<(), FirewallError> {
        let mut steps = rules::add_forwards(IPV4, forwards);
        steps.extend(rules::add_forwards(IPV6, forwards));
        self.commit(steps)?;
        self.forget_flows(forwards);
        Ok(())
    }

    pub(crate) fn remove(&mut self, forwards: &[Forward]) -> Result<(), FirewallError> {
        let mut steps = rules::remove_forwards(IPV4, forwards);
        steps.extend(rules::remove_forwards(IPV6, forwards));
        self.commit(steps)?;
        self.forget_flows(forwards);
        Ok(())
    }

    /// Best effort: a kernel that does not let connections be listed forgets them after half a minute.
    fn forget_flows(&mut self, forwards: &[Forward]) {
        if let Err(error) = conntrack::forget(&mut self.socket, forwards) {
            tracing::warn!(%error, "old flows to a published port were not cut");
        }
    }

    /// Makes all changes or none.
    fn commit(&mut self, steps: Vec<Step>) -> Result<(), FirewallError> {
        let last = steps.len() + 1;
        let mut names = vec!["begin a change of the firewall (nftables in the kernel)"];
        let mut messages = vec![batch_message(flag(libc::NFNL_MSG_BATCH_BEGIN))];
        for step in steps {
            names.push(step.name);
            messages.push(step.message);
        }
        messages.push(batch_message(flag(libc::NFNL_MSG_BATCH_END)));
        self.socket
            .execute(messages, |position| position != 0 && position != last)
            .map_err(|Failure { message, error }| FirewallError {
                step: names
                    .get(message)
                    .unwrap_or(&"commit a change of the firewall"),
                source: error,
            })
    }
}

fn batch_message(kind: u16) -> Message {
    let [high, low] = flag(libc::NFNL_SUBSYS_NFTABLES).to_be_bytes();
    Message::new(kind, 0, &[0, 0, high, low])
}
