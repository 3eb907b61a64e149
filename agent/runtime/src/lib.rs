//! Turns an OCI runtime specification into a running process and keeps hold of it.
//!
//! Every container has one small supervisor process (`berthd supervise`, see [`supervise_main`]). It sets up
//! namespaces, mounts, cgroups and seccomp, holds the container's standard streams, writes its log, reaps it and records
//! how it ended. It survives the agent: after a restart [`Runtime::reattach`] finds it again.
//!
//! [`Runtime`] is the agent's side: it starts supervisors and talks to them over a unix socket. What is not in this
//! room: building the specification (the engine does), networks, images and snapshots.

pub mod capabilities;
pub mod counters;
mod leftovers;
pub mod log;
pub mod seccomp;

mod arrivals;
mod attachment;
mod cgroup;
mod connection;
mod error;
mod exec;
mod exit;
mod failure;
mod hooks;
mod init;
mod init_program;
mod limits;
mod neighbours;
mod oci;
mod protocol;
mod reattach;
mod request;
mod running;
mod runtime;
mod shortage;
mod socket;
mod supervise;

pub use attachment::{Attachment, Output, Stdin};
pub use error::{
    AttachError, ControlError, ExecError, FailureKind, ReattachError, RuntimeError, StartError,
};
pub use exec::{ExecHandle, ExecProcess};
pub use exit::ExitRecord;
pub use init_program::init_main;
pub use oci::runtime_main;
pub use reattach::Reattached;
pub use request::{AttachFrom, AttachOptions, ExecRequest, Rootfs, StartRequest, TerminalSize};
pub use running::Running;
pub use runtime::{Runtime, RuntimeConfig};
pub use shortage::Shortages;
pub use supervise::supervise_main;
