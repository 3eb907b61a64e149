//! Address translation and packet filtering: one nftables table that nobody else touches.
//!
//! The rules never change while containers come and go. What changes is one map from published ports
//! to containers, an element at a time; every change is one transaction of the kernel. The whole
//! table can be replaced the same way, without a moment in which it is missing.
//!
//! The kernel is spoken to directly, so that the `nft` program needs not be installed; it shows
//! the table all the same: `nft list table ip berth`.

mod conntrack;
mod expression;
mod rules;

use std::io;
use std::net::Ipv4Addr;

use nix::sys::socket::SockProtocol;

use crate::Protocol;
use crate::netlink::message::flag;
use crate::netlink::{Failure, Message, Socket};
use rules::Step;

/// A connection to the firewall of one network namespace.
#[derive(Debug)]
pub(crate) struct Firewall {
    socket: Socket,
    bridge: String,
}

/// One published port and the container that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forward {
    pub(crate) protocol: Protocol,
    /// Unspecified for all addresses of the machine.
    pub(crate) host_ip: Ipv4Addr,
    pub(crate) host_port: u16,
    pub(crate) container_ip: Ipv4Addr,
    pub(crate) container_port: u16,
}

/// The failure of a change of the firewall, of which nothing has taken effect.
#[derive(Debug)]
pub(crate) struct FirewallError {
    /// What was being done.
    pub(crate) step: &'static str,
    pub(crate) source: io::Error,
}

// === impl Firewall ===

impl Firewall {
    /// Connects to the firewall of the calling thread's namespace.
    pub(crate) fn open(bridge: &str) -> io::Result<Self> {
        Ok(Self {
            socket: Socket::open(SockProtocol::NetlinkNetFilter)?,
            bridge: bridge.to_owned(),
        })
    }

    /// Says whether the table is there; other programs may flush the whole firewall.
    pub(crate) fn is_set_up(&mut self) -> io::Result<bool> {
        Ok(self.socket.query(rules::find_table())?.is_some())
    }

    /// Puts the table in place, replacing an older one, with these published ports.
    pub(crate) fn replace(
        &mut self,
        subnet: crate::Subnet,
        forwards: &[Forward],
    ) -> Result<(), FirewallError> {
        let mut steps = rules::table(&self.bridge, subnet);
        steps.extend(rules::add_forwards(forwards));
        self.commit(steps)
    }

    pub(crate) fn add(&mut self, forwards: &[Forward]) -> Result<(), FirewallError> {
        self.commit(rules::add_forwards(forwards).collect())?;
        self.forget_flows(forwards);
        Ok(())
    }

    pub(crate) fn remove(&mut self, forwards: &[Forward]) -> Result<(), FirewallError> {
        self.commit(rules::remove_forwards(forwards).collect())?;
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
