//! A further command in a running container.

use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::path::Path;

use berth_agent_sys::process::Copied;
use nix::sched::setns;

use super::process::{Birth, Stdio, beget_command, set_oom_score};
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

/// Makes a command of a container; to be called in a forked process that is not in the container's process id
/// namespace: nobody there can see it while it has all rights, and what it makes there in the end has none of them.
/// Returns its exit code if that failed.
pub(crate) fn run_exec(joining: &Joining<'_>, copied: Copied) -> i32 {
    joining.sync.report(start(joining, copied));
    1
}

fn start(joining: &Joining<'_>, copied: Copied) -> Result<Infallible, Failure> {
    let Joining {
        message,
        seccomp,
        container,
        stdio,
        sync,
    } = *joining;
    set_oom_score(&message.process, sync)?;
    // Namespaces of cgroups are no matter of paths, so being in the group first or later is the same; limits are not.
    sync.wait_for_word(step::CGROUP)?;
    sync.reached(step::NAMESPACES);
    setns(container, namespaces::of_container())
        .at(step::NAMESPACES, || "joining the container")?;
    let terminal;
    let stdio = match stdio {
        Some(stdio) => stdio,
        None => {
            sync.reached(step::TERMINAL);
            let root = Root::open(Path::new("/")).at(step::ROOT, || "/")?;
            terminal = Stdio::Terminal(terminal::open(&root, message.terminal_size, sync)?);
            &terminal
        }
    };
    let birth = Birth {
        process: &message.process,
        program: seccomp,
        stdio,
        sync,
        has_init: false,
        created: None,
    };
    beget_command(copied, birth)
}
