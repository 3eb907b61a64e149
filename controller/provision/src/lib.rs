//! What happens on a host over SSH: look at it, upload the agent, install it, start it.
//!
//! Three commands on one connection: `probe` finds out what the host is, the upload sends the
//! agent when the host has another one, and the installation writes configuration and keys, starts
//! the agent under whatever supervises services there and returns when it has said that it is
//! ready. Each is safe to repeat, so that running all of it again goes on where it stopped.
//!
//! What is secret travels on standard input, never in an argument. Certificates are made and
//! agents are spoken to elsewhere.

mod agent;
mod config;
#[cfg(test)]
mod described;
mod examine;
mod facts;
mod install;
mod options;
mod os_release;
mod place;
mod present;
mod probe;
mod root;
mod run;
mod services;
mod settle;
mod shell;
mod upload;

pub use agent::{AgentBinary, BinaryError};
pub use config::{AgentConfig, TlsFiles};
pub use examine::{Examination, Inside, examine};
pub use facts::{HostFacts, Init, Installed, Privilege, Selinux};
pub use options::{EngineSettings, OptionError};
pub use os_release::{Family, OsRelease};
pub use place::{Place, Shortage};
pub use present::{Present, present, read_environment};
pub use probe::{enter, probe};
pub use root::{Ask, Passwords, Root};
pub use run::{Change, PATIENCE, Plan, Progress, ProvisionError, Report, Step, provision};
pub use settle::{go_back, keep};
