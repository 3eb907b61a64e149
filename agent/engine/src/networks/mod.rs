//! Networks that users define, and containers on them.
//!
//! Three networks are always there: `bridge`, `host` and `none`. What the others are is in the
//! database (`record`); what the kernel has of them is made by the network room. A network is in the
//! kernel before it is in the database, so that one of which only half was made is nobody's, and is
//! cleared away when the agent starts.

mod check;
mod connect;
pub(crate) mod endpoints;
mod error;
mod list;
mod make;
mod options;
mod reconcile;
pub(crate) mod record;
pub(crate) mod registry;
mod remove;
mod view;

pub(crate) use connect::check_addresses;
pub use error::NetworkError;
pub use make::CreatedNetwork;
pub use options::{NetworkOptions, PoolOptions};
pub use view::{NetworkMember, NetworkView};
