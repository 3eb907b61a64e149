//! What callers see of containers and of the engine: lists, filters, inspection, sizes.

pub(crate) mod disk_usage;
pub(crate) mod filter;
pub(crate) mod human;
pub(crate) mod info;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod stats;
pub(crate) mod top;
