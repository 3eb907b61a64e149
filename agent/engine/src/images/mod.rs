//! Images as seen from containers: which are in use, and lists of them.

pub(crate) mod filter;
pub(crate) mod usage;
