//! What flags of `run` and `create` mean, apart from any command: plain functions from text to
//! values.

pub(crate) mod cpus;
pub(crate) mod env;
pub(crate) mod image;
pub(crate) mod ports;
pub(crate) mod security;
