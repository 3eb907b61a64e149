//! `delete`: removing what is left of a container that has ended, or ending it first.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use berth_agent_sys::process::signal_pidfd;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::error::OciError;
use super::log::Log;
use super::record::Store;
use super::words::Words;
use crate::failure::Failure;
use crate::hooks;

/// How long a killed process may take to end.
const KILL_GRACE_MILLISECONDS: u16 = 10_000;

pub(super) fn run(store: &Store, words: &mut Words, log: &Log) -> Result<(), OciError> {
    let is_forced = words.flag("force", Some('f'));
    let id = words.only("a container")?;
    let removed = delete(store, &id, is_forced, log);
    match removed {
        Err(OciError::NoSuchContainer) if is_forced => Ok(()),
        other => other,
    }
}

fn delete(store: &Store, id: &str, is_forced: bool, log: &Log) -> Result<(), OciError> {
    let _lock = store.lock(id)?;
    let directory = store.directory(id)?;
    let record = match store.read(id) {
        // A creation that was killed before it had written anything.
        Err(OciError::NoSuchContainer) if is_forced => return remove(&directory),
        other => other?,
    };
    let status = record.status(store);
    if let Some(process) = record.process() {
        if !is_forced {
            let text = format!("cannot delete container {id} that is not stopped: {status}");
            return Err(OciError::WrongState(text));
        }
        // It may have ended by now, which is what is wanted.
        drop(signal_pidfd(&process, libc::SIGKILL));
        let cgroup = record.cgroup()?;
        cgroup.kill_all();
        wait(&process);
    }
    let cgroup = record.cgroup()?;
    cgroup.kill_all();
    cgroup.delete().map_err(Failure::from)?;
    remove(&directory)?;
    let after = record
        .hooks
        .as_ref()
        .and_then(|hooks| hooks.poststop().as_ref());
    let state = super::json(&record.state_as("stopped"))?;
    // The container is gone whatever they do.
    if let Err(failure) = hooks::run(after, state.as_bytes()) {
        log.warn(&format!("{}: {}", failure.step, failure.message));
    }
    Ok(())
}

/// Waits until a process has ended; reaping it is its parent's.
fn wait(process: &OwnedFd) {
    let limit = PollTimeout::from(KILL_GRACE_MILLISECONDS);
    let _ended = poll(
        &mut [PollFd::new(process.as_fd(), PollFlags::POLLIN)],
        limit,
    );
}

fn remove(directory: &std::path::Path) -> Result<(), OciError> {
    match fs::remove_dir_all(directory) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(OciError::io("removing", directory.display(), e))
        }
        _ => Ok(()),
    }
}
