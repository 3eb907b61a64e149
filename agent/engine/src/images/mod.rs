//! Images as seen from containers: which are in use, lists of them, and removing what nobody needs.

pub(crate) mod filter;
pub(crate) mod pattern;
pub(crate) mod prune;
pub(crate) mod transfer;
pub(crate) mod usage;
