//! What a driver of machines promises, and nothing about any driver in particular.
//!
//! A [`Driver`] is a kind of machine (its name and its flags); a [`Machine`] is one machine of that
//! kind. The fleet calls them in this order:
//!
//! 1. [`Driver::flags`], then [`Driver::configure`] with the values that the operator gave;
//! 2. [`Machine::pre_create_check`], which changes nothing anywhere;
//! 3. [`Machine::create`], which tells its [`Journal`] about every step *before* it does it;
//! 4. in later processes, [`Driver::load`] with what [`Machine::config`] returned last, and then
//!    any of the other calls, in any order.
//!
//! After a `create` that failed or was killed at any step, the machine is loaded from the last
//! configuration that the journal got, and either `create` is called again (it must go on from
//! there) or [`Machine::remove`] (it must find everything that exists). Calls for one machine are
//! serialised by the fleet, except [`Machine::state`], [`Machine::ip`] and
//! [`Machine::ssh_endpoint`], which may come at any time and change nothing.
//!
//! Deliberately not here: provisioning, certificates and the store.

mod base;
mod driver;
mod error;
mod flags;
mod machine;
pub mod numbers;
mod orphan;
mod registry;

pub use base::{BaseConfig, DEFAULT_SSH_PORT};
pub use driver::{Driver, MachineContext};
pub use error::DriverError;
pub use flags::{FlagKind, FlagSpec, FlagValue, FlagValues};
pub use machine::{
    DEFAULT_ENGINE_PORT, Journal, JournalError, Machine, MachineState, Restart, SshEndpoint,
};
pub use orphan::Orphan;
pub use registry::{Fallback, Registry};
