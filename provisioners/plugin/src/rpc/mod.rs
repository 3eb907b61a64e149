//! Go's `net/rpc` over a TCP connection that begins as HTTP.
//!
//! [`handshake`] turns HTTP into a plain connection, [`client`] calls and waits. Answers come in any
//! order and are told apart by their number.

pub(crate) mod client;
pub(crate) mod handshake;

pub(crate) use client::{Client, RpcError};
