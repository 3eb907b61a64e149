//! What flags of `run` and `create` mean, apart from any command: plain functions from text to
//! values.

pub(crate) mod block_io;
pub(crate) mod cpus;
pub(crate) mod device_rule;
pub(crate) mod env;
pub(crate) mod image;
pub(crate) mod memory;
pub(crate) mod number;
pub(crate) mod ports;
pub(crate) mod security;
pub(crate) mod ulimit;
