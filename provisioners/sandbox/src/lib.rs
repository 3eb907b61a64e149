//! The `sandbox` driver: a machine made out of this one, in milliseconds and without a hypervisor.
//!
//! A sandbox machine has its own address on a private bridge, its own mounts, processes, host name,
//! IPC and control groups, a copy-on-write view of a root filesystem (this host's, or a directory),
//! an init and OpenSSH's server. After creation it is used like any remote host: over SSH and TCP.
//!
//! How the parts fit, from the outside in:
//!
//! - [`SandboxDriver`] and its machines run in the controller. They keep the machine's disk and keys
//!   in its store directory, its address in a register that all stores of the host share, and start
//! - the *monitor*, this same program started again in the background. It stands where a hypervisor
//!   would: it makes the namespaces, plugs in the network cable, boots and reboots; it is the parent of
//! - the *init*, again this same program, process 1 inside the machine: it builds the root
//!   filesystem, keeps sshd running, reaps, and turns the machine off in order. Or it gives its
//!   place to an init that the root filesystem has, systemd for example, which then does all that.
//!
//! Whether a machine runs is asked of the kernel: its processes are those in its control groups,
//! whose names follow from the machine's identity. No pid file is kept or trusted.
//!
//! The machine is a test bed for friends, not a jail: root inside is root outside, only its view
//! is narrowed.

mod boot;
mod cgroups;
mod checks;
mod config;
mod console;
mod detached;
mod disk;
mod driver;
mod failure;
mod foreign;
mod host;
mod identity;
mod init;
mod keys;
mod machine;
mod messages;
mod monitor;
mod netlink;
mod orphans;
mod plan;
mod processes;
mod register;
mod subnet;
mod tags;
mod wiring;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

pub use driver::SandboxDriver;

/// Runs the monitor or the init when `arguments` (the program's own, with its name first) say so.
///
/// Every program that drives sandbox machines calls this first in its `main`, before it starts
/// any thread, and ends with the returned code when there is one.
#[must_use]
pub fn run_if_internal(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    let role = arguments.next()?;
    let run = match role.to_str()? {
        monitor::ARGUMENT => monitor::main,
        init::ARGUMENT => init::main,
        _ => return None,
    };
    Some(run(&PathBuf::from(arguments.next()?)))
}
