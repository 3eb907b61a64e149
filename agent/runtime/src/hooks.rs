//! Programs that a specification wants to be run at points of a container's life.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use berth_agent_sys::process::open_pidfd;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use oci_spec::runtime::Hook;

use crate::failure::{AtStep as _, Failure, step};

/// Runs hooks one after the other, each with the container's state on its standard input; stops at the first that fails.
pub(crate) fn run(hooks: Option<&Vec<Hook>>, state: &[u8]) -> Result<(), Failure> {
    for hook in hooks.into_iter().flatten() {
        run_one(hook, state)?;
    }
    Ok(())
}

fn run_one(hook: &Hook, state: &[u8]) -> Result<(), Failure> {
    let name = hook.path().display().to_string();
    let what = || name.clone();
    if !hook.path().is_absolute() {
        return Err(Failure::new(
            step::HOOK,
            format!("{name}: a hook needs an absolute path"),
        ));
    }
    let mut command = Command::new(hook.path());
    let arguments = hook.args().as_deref().unwrap_or_default();
    if let Some((first, rest)) = arguments.split_first() {
        command.arg0(first).args(rest);
    }
    command.env_clear();
    for entry in hook.env().iter().flatten() {
        let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
        command.env(key, value);
    }
    // What it says goes where the runtime's own errors go. Not to /dev/null: the container may not be allowed that.
    let errors = io::stderr().as_fd().try_clone_to_owned();
    command
        .stdin(in_memory(state).at(step::HOOK, what)?)
        .stdout(errors.at(step::HOOK, what)?);
    let mut child = command.spawn().at(step::HOOK, what)?;
    let limit = hook
        .timeout()
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map(Duration::from_secs);
    if !ends_within(&child, limit)? {
        drop(child.kill());
        drop(child.wait());
        return Err(Failure::new(step::HOOK, format!("{name}: timed out")));
    }
    let status = child.wait().at(step::HOOK, what)?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(step::HOOK, format!("{name}: {status}")))
    }
}

/// Returns a file that has these bytes. A hook need not read them, and nobody waits for it to do so.
fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create(c"state", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// Waits for the end of a hook; false when the time is over.
fn ends_within(child: &Child, limit: Option<Duration>) -> Result<bool, Failure> {
    let pidfd = open_pidfd(child.id().cast_signed()).at(step::HOOK, || "waiting")?;
    let deadline = limit.map(|limit| Instant::now() + limit);
    loop {
        let timeout = deadline.map_or(PollTimeout::NONE, |deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        match poll(
            &mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)],
            timeout,
        ) {
            Ok(0) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                return Ok(false);
            }
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(e) => return Err(Failure::from_io(step::HOOK, "waiting", &e.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    fn hooks(script: &str, timeout: i64) -> Vec<Hook> {
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["A=b"], "timeout": timeout});
        vec![serde_json::from_value(hook).unwrap()]
    }

    #[test]
    fn a_hook_gets_the_state_and_its_own_environment() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("said");
        let script = format!("{{ cat; echo \" $A $HOME\"; }} > {}", file.display());
        run(Some(&hooks(&script, 30)), b"{}").unwrap();
        assert_eq!(fs::read_to_string(file).unwrap(), "{} b \n");
    }

    #[test]
    fn a_hook_that_fails_or_takes_too_long_is_named() {
        let failure = run(Some(&hooks("exit 3", 30)), b"").unwrap_err();
        assert_eq!(failure.message, "/bin/sh: exit status: 3");
        // More than a pipe takes.
        let state = vec![b' '; 1 << 20];
        let failure = run(Some(&hooks("exec sleep 1000", 1)), &state).unwrap_err();
        assert_eq!(failure.message, "/bin/sh: timed out");
    }
}
