//! Stores, registries and images for the tests.

pub(crate) mod http;
pub(crate) mod proxy;
pub(crate) mod registry;
pub(crate) mod seed;
pub(crate) mod store;
pub(crate) mod token;
