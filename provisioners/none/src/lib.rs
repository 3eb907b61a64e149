//! The `none` driver: the address of an engine that somebody else looks after.
//!
//! Nothing is made, started, stopped or logged in to; the machine is a name for a URL, so that
//! tools can be pointed at it. Whether the engine answers is not this driver's business: as in
//! docker-machine, such a machine always counts as running.

mod driver;
mod machine;

pub use driver::NoneDriver;
