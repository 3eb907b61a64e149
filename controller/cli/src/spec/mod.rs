//! What flags of `run` and `create` mean, apart from any command: plain functions from text to
//! values, one file a flag or family of flags. What they refuse is worded as Docker's client does.

pub(crate) mod block_io;
pub(crate) mod cpus;
mod csv;
pub(crate) mod device;
pub(crate) mod device_rule;
pub(crate) mod env;
mod file;
pub(crate) mod gpus;
pub(crate) mod hosts;
pub(crate) mod image;
pub(crate) mod links;
pub(crate) mod map;
pub(crate) mod memory;
pub(crate) mod mount;
pub(crate) mod namespaces;
pub(crate) mod network;
pub(crate) mod number;
pub(crate) mod ports;
pub(crate) mod restart;
pub(crate) mod security;
pub(crate) mod sysctl;
pub(crate) mod ulimit;
pub(crate) mod volume;
