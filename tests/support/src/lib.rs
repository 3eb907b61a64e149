//! What the end-to-end tests stand on: private stores, machines that go away by themselves,
//! images made on the spot, and registries that misbehave on demand.
//!
//! Nothing here knows berth's crates: the tests see the programs as their users do.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot be set up has failed, and should say where"
)]

mod agents;
mod control_groups;
mod image;
mod inventory;
mod machine;
mod operator;
mod outcome;
mod process;
mod programs;
mod progress;
mod random;
mod registry;
mod sshd;
mod tarball;
mod traces;
mod wait;

pub use agents::{AGENTS_VERSION, FakeAgents};
pub use control_groups::remove_control_groups;
pub use image::{Image, Layer, Platform, busybox_layer};
pub use inventory::{Ground, Inventory};
pub use machine::Machine;
pub use operator::Operator;
pub use outcome::Outcome;
pub use process::{Background, kill};
pub use programs::{agent_program, berth_program, debian_root, openrc_root, systemd_root};
pub use progress::Progress;
pub use random::Random;
pub use registry::{Fault, FaultyRegistry};
pub use sshd::{Sshd, SshdOptions, free_port, make_key};
pub use tarball::{Entry, tarball};
pub use traces::traces;
pub use wait::{wait_for, wait_until};
