//! Machines as the operator sees them: made, listed, reached, stopped and removed.
//!
//! A [`Fleet`] joins the store (what is on record), the drivers (what exists), provisioning (what
//! is installed) and the authority (who is trusted). Every operation names its machine; several
//! machines at once are several calls at once, which is fine from one or many processes: whatever
//! changes a machine holds its lock.
//!
//! Creation is a journal: each step is on disk before it is done, so that `create` can go on where
//! it was cut off and `remove` finds everything. Not here: what a driver does, what provisioning
//! sends, and every word that a terminal shows.

mod agent;
mod create;
mod credentials;
mod fleet;
mod journal;
mod lifecycle;
mod list;
mod progress;
mod provision;
mod remove;
mod ssh;

pub use agent::AgentError;
pub use create::{CreateError, CreateRequest, Created};
pub use credentials::CredentialsError;
pub use fleet::{EnvFacts, Fleet, MachineError};
pub use lifecycle::LifecycleError;
pub use list::{LsRow, RowState};
pub use progress::{Progress, Silent};
pub use provision::ProvisionError;
pub use remove::RemoveError;
pub use ssh::SshError;
