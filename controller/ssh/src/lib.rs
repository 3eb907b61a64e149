//! The one SSH client that everything of the controller uses.
//!
//! A [`Session`] is one authenticated connection; commands, shells and tunnels are channels of it.
//! Host keys are part of the call: a connection either learns the key (the first time) or verifies
//! it, there is no third way. Nothing here reads `~/.ssh/config`, touches the terminal or knows
//! what a machine is.

mod connect;
mod exec;
mod host_key;
mod identity;
mod shell;

pub use connect::{ConnectError, Endpoint, HostKeyPolicy, Session};
pub use exec::{ExecError, ExitStatus, Output};
pub use host_key::{HostKey, HostKeyError};
pub use identity::IdentityError;
pub use shell::{Pty, Streams, WindowSize};
