//! The small init of a container (`--init`): the first process, with the command as its child.
//!
//! It is the process that made the container, so the image needs no file for it. What it has is no more than the command
//! has: the same user, capabilities and filter, no descriptors but the standard streams. It is closed to the container's
//! processes, and its executable lies on a read-only mount that is attached nowhere.

use std::convert::Infallible;
use std::io;

use berth_agent_sys::first_process::{hold_signals, serve};
use berth_agent_sys::process::Copied;
use nix::sys::prctl::{set_child_subreaper, set_name};
use nix::sys::signal::SigSet;
use nix::unistd::{Pid, getpid, setpgid, tcsetpgrp};

use super::process::{Birth, Command, report};
use crate::failure::{AtStep as _, Failure, step};

/// Starts the command as a child of this process, which stays its init; returns only with what prevented it.
pub(super) fn start(
    copied: Copied,
    command: &Command,
    birth: Birth<'_>,
) -> Result<Infallible, Failure> {
    let what = || "the container's init";
    if getpid() != Pid::from_raw(1) {
        // Orphans of the command come to this process all the same.
        set_child_subreaper(true).at(step::FORK, what)?;
    }
    set_name(c"berth-init").at(step::FORK, what)?;
    hold_signals().at(step::FORK, what)?;
    let child = copied.beget(|| {
        report(
            birth.sync,
            birth.created,
            run(command, birth.has_terminal()),
        );
        1
    });
    let child = child.at(
        step::FORK,
        || "the command, as a child of the container's init",
    )?;
    copied.end_with(|| serve(child))
}

/// Runs the command in a process group of its own, which has the terminal.
fn run(command: &Command, has_terminal: bool) -> Result<Infallible, Failure> {
    let what = || "a process group for the command";
    let own = getpid();
    setpgid(own, own).at(step::EXECUTE, what)?;
    if has_terminal {
        // Signals are still held, so that taking the terminal from the background stops nobody.
        tcsetpgrp(io::stdin(), own).at(step::TERMINAL, what)?;
    }
    SigSet::empty()
        .thread_set_mask()
        .at(step::EXECUTE, || "letting signals through")?;
    command.execute()
}
