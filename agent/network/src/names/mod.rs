//! Names of containers: a name server for each container on a network that has names.
//!
//! It listens on loopback inside the container's network namespace, at a port that happens to be free
//! and to which the namespace's firewall leads port 53 of [`ADDRESS`], so that a container may serve
//! names itself. It answers for the containers on the asker's networks and hands everything else on.

mod answer;
mod forward;
mod question;
mod server;
mod zone;

use std::net::Ipv4Addr;

pub(crate) use server::{Client, NameServer, Sockets};

/// Where containers find their name server, as with Docker.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
