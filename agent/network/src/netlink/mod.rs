//! Netlink: messages out, answers in. What the messages mean is in [`links`], in [`routes`] and in the
//! firewall.

pub(crate) mod links;
pub(crate) mod message;
pub(crate) mod routes;
mod socket;

pub(crate) use message::{Message, attributes};
pub(crate) use socket::{Failure, Socket};
