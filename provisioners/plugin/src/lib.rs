//! Drivers in executables of their own: those that were written for docker-machine, and berth's own
//! served to docker-machine.
//!
//! A plugin is a program `docker-machine-driver-NAME` in `PATH`. It is started when a driver call is
//! needed, says on its standard output where it listens, and is spoken to in Go's `net/rpc` with
//! `gob`. It needs a heartbeat, or ends by itself.
//!
//! - [`fallback`] finds plugins for a [`berth_provisioners_api::Registry`]; [`PluginDriver`] and its
//!   machines are then like any other driver's. What is known of a machine is answered from its
//!   record, without a process.
//! - [`serve_if_called`] is the other side: berth called as `docker-machine-driver-NAME`.
//! - `gob` and `rpc` are the wire; `host` looks after processes. Neither side trusts the other: what
//!   comes in is bounded in size, depth and time.
//!
//! A program that uses plugins calls [`run_if_internal`] first and [`finish`] last in its `main`, so
//! that no plugin outlives it, however it ends.

mod create;
mod driver;
mod error;
mod facts;
mod flags;
mod gob;
mod host;
mod json;
mod lookup;
mod machine;
mod options;
mod rpc;
mod serve;

pub use driver::PluginDriver;
pub use host::keeper::run_if_internal;
pub use host::thread::finish;
pub use lookup::fallback;
pub use options::{Deadlines, Line, PluginOptions, TIMEOUT_VARIABLE};
pub use serve::{Reboot, serve_if_called};
