//! Channels to agents: mutual TLS to the machine's port, or a tunnel through SSH when that port
//! cannot be reached.
//!
//! An [`Agent`] is one connected agent with a typed client per service. The machine is trusted
//! by the authority's signature *and* by its stable name, never by its address, so that a machine
//! whose address has changed is still itself. Nothing here reads the store.

mod agent;
mod connect;
mod docker;
mod identity;
mod route;

pub use agent::{Agent, Route};
pub use connect::{ConnectError, Target, Tunnel, connect, connect_unless_off, over};
pub use docker::{DockerError, DockerTarget, docker_version};
pub use identity::{Identity, IdentityError};
