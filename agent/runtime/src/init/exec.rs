//! A further command in a running container.

use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::sched::setns;

use super::process::{Stdio, become_command, set_oom_score};
use super::root::Root;
use super::sync::ChildEnd;
use super::{namespaces, terminal};
use crate::failure::{AtStep as _, Failure, step};
use crate::protocol::ExecMessage;

/// The making of a further command.
#[derive(Debug)]
pub(crate) struct Joining<'a> {
    pub(crate) message: &'a ExecMessage,
    pub(crate) seccomp: &'a [u8],
    /// The container's first process.
    pub(crate) container: &'a OwnedFd,
    /// None when the command gets a terminal.
    pub(crate) stdio: Option<&'a Stdio>,
    pub(crate) sync: &'a ChildEnd,
}

/// Becomes a command of a container; to be called in a process that was born in the container's process id namespace.
/// Returns its exit code if that failed.
pub(crate) fn run_exec(joining: &Joining<'_>) -> i32 {
    joining.sync.report(start(joining));
    1
}

fn start(joining: &Joining<'_>) -> Result<Infallible, Failure> {
    let Joining {
        message,
        seccomp,
        container,
        stdio,
        sync,
    } = *joining;
    set_oom_score(&message.process, sync)?;
    // Namespaces of cgroups are no matter of paths, so being in the group first or later is the same; limits are not.
    sync.wait_for_cgroup()?;
    setns(container, namespaces::all_but_pid()).at(step::NAMESPACES, || "joining the container")?;
    let terminal;
    let stdio = match stdio {
        Some(stdio) => stdio,
        None => {
            let root = Root::open(Path::new("/")).at(step::ROOT, || "/")?;
            terminal = Stdio::Terminal(terminal::open(&root, message.terminal_size, sync)?);
            &terminal
        }
    };
    become_command(&message.process, seccomp, stdio, sync)
}
