//! Starting the container: everything between the order and the first instruction of the container's command.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use berth_agent_sys::process::{fork, open_pidfd, send_signal};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use oci_spec::runtime::{LinuxResources, Process, Spec};

use super::NotStarted;
use super::bundle::Bundle;
use super::external::External;
use super::streams::{Plan, Streams};
use crate::cgroup::{Cgroup, CgroupError, Layout};
use crate::failure::{AtStep as _, Failure, step};
use crate::init::{Init, Namespaces, ParentEnd, Stdio, ToParent, channel, run_init};
use crate::protocol::{RunState, StartMessage};

/// A container that has just been started.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) pid: i32,
    /// Stands for the first process when namespaces are joined.
    pub(super) pidfd: OwnedFd,
    pub(super) started_at: SystemTime,
    pub(super) warnings: Vec<String>,
    /// Whether all processes end with the first.
    pub(super) has_own_pids: bool,
    pub(super) cgroup: Cgroup,
    pub(super) streams: Streams,
    pub(super) bundle: Bundle,
    /// Where clients connect.
    pub(super) listener: UnixListener,
    pub(super) external: Option<External>,
}

/// Starts the container that the order describes; leaves nothing behind when that fails.
pub(super) fn launch(message: StartMessage, seccomp: &[u8]) -> Result<Launched, NotStarted> {
    let process = check(&message.spec)?.clone();
    let mut bundle = Bundle::prepare(&message.bundle_dir, &message.run_dir, !message.ephemeral)?;
    // Whoever hears that the container runs may connect at once.
    let listener = bundle.listen();
    let launched = listener.and_then(|listener| {
        Ok((
            launch_in(&message, &process, seccomp, &mut bundle)?,
            listener,
        ))
    });
    match launched {
        Ok((parts, listener)) => Ok(Launched {
            listener,
            pid: parts.pid,
            pidfd: parts.pidfd,
            started_at: parts.started_at,
            warnings: parts.warnings,
            has_own_pids: Namespaces::of(&message.spec).has_own_pids(),
            cgroup: parts.cgroup,
            streams: parts.streams,
            external: parts.external,
            bundle,
        }),
        Err(failure) => {
            bundle.abandon();
            Err(failure.into())
        }
    }
}

/// What differs between the built-in runtime and an external one.
pub(super) struct Parts {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) started_at: SystemTime,
    pub(super) warnings: Vec<String>,
    pub(super) cgroup: Cgroup,
    pub(super) streams: Streams,
    pub(super) external: Option<External>,
}

fn launch_in(
    message: &StartMessage,
    process: &Process,
    seccomp: &[u8],
    bundle: &mut Bundle,
) -> Result<Parts, Failure> {
    let path = cgroup_path(message);
    let layout = Layout::detect().at(step::CGROUP, || "/proc/self/mountinfo")?;
    let cgroup = Cgroup::new(layout, &path).map_err(|e| cgroup_failure(&e))?;
    bundle.save_state(&RunState {
        pid: 0,
        cgroup: path,
    })?;
    let plan = Plan {
        terminal: process.terminal() == Some(true),
        stdin: message.open_stdin,
        once: message.stdin_once,
    };
    let (streams, stdio) = Streams::open(plan)?;
    match &message.external_runtime {
        Some(program) => External::launch(program, message, bundle, cgroup, streams, stdio),
        None => launch_built_in(message, process, seccomp, cgroup, streams, stdio),
    }
}

fn launch_built_in(
    message: &StartMessage,
    process: &Process,
    seccomp: &[u8],
    cgroup: Cgroup,
    mut streams: Streams,
    stdio: Option<Stdio>,
) -> Result<Parts, Failure> {
    let (parent, child) = channel().at(step::FORK, || "channel")?;
    Namespaces::of(&message.spec).prepare_children()?;
    let pid = fork_init(&Init {
        message,
        process,
        seccomp,
        cgroup: &cgroup,
        stdio: stdio.as_ref(),
        sync: &child,
    })?;
    drop((child, stdio));
    let resources = message
        .spec
        .linux()
        .as_ref()
        .and_then(|linux| linux.resources().clone())
        .unwrap_or_default();
    // The child mounts meanwhile.
    let made = admit(&cgroup, &resources, pid, &parent);
    let outcome =
        made.and_then(|warnings| follow(&parent, warnings, |master| streams.take_terminal(master)));
    let pidfd = open_pidfd(pid);
    match outcome.and_then(|warnings| {
        Ok((
            warnings,
            pidfd.at(step::FORK, || "the container's first process")?,
        ))
    }) {
        Ok((warnings, pidfd)) => {
            let started_at = SystemTime::now();
            Ok(Parts {
                pid,
                pidfd,
                started_at,
                warnings,
                cgroup,
                streams,
                external: None,
            })
        }
        Err(failure) => {
            // It may have ended by itself.
            drop(send_signal(pid, libc::SIGKILL));
            let _status = waitpid(Pid::from_raw(pid), None);
            cgroup.kill_all();
            // What is left of a group is removed by the next start.
            drop(cgroup.delete());
            Err(failure)
        }
    }
}

fn fork_init(init: &Init<'_>) -> Result<i32, Failure> {
    let mut keep: Vec<BorrowedFd<'_>> = vec![init.sync.fd()];
    keep.extend(init.stdio.iter().flat_map(|stdio| stdio.fds()));
    fork(&keep, || run_init(init)).at(step::FORK, || "the container's first process")
}

/// Makes a group and puts a forked process into it.
fn admit(
    cgroup: &Cgroup,
    resources: &LinuxResources,
    pid: i32,
    parent: &ParentEnd,
) -> Result<Vec<String>, Failure> {
    let warnings = cgroup.create(resources).map_err(|e| cgroup_failure(&e))?;
    cgroup.join(pid).map_err(|e| cgroup_failure(&e))?;
    // A child that has failed already says so itself.
    drop(parent.go());
    Ok(warnings)
}

/// Listens to the child until it executes the command; returns the warnings.
fn follow(
    parent: &ParentEnd,
    mut warnings: Vec<String>,
    mut take_terminal: impl FnMut(OwnedFd) -> std::io::Result<()>,
) -> Result<Vec<String>, Failure> {
    let mut is_executing = false;
    loop {
        match parent.receive().at(
            step::EXECUTE,
            || "listening to the container's first process",
        )? {
            Some((ToParent::Warning(text), _)) => warnings.push(text),
            Some((ToParent::Terminal, Some(master))) => {
                take_terminal(master).at(step::TERMINAL, || "taking the terminal over")?;
            }
            Some((ToParent::Terminal, None)) => {
                return Err(Failure::new(step::TERMINAL, "no terminal came"));
            }
            Some((ToParent::Executing, _)) => is_executing = true,
            Some((ToParent::Failed(failure), _)) => return Err(failure),
            None if is_executing => return Ok(warnings),
            None => {
                return Err(Failure::new(
                    step::EXECUTE,
                    "the container's first process was killed on its way",
                ));
            }
        }
    }
}

/// Names a failure of control groups with its whole chain.
pub(super) fn cgroup_failure(error: &CgroupError) -> Failure {
    Failure::from_io(step::CGROUP, error, error.io_error())
}

fn cgroup_path(message: &StartMessage) -> PathBuf {
    let asked = message
        .spec
        .linux()
        .as_ref()
        .and_then(|linux| linux.cgroups_path().clone());
    asked.unwrap_or_else(|| Path::new("/berth").join(&message.id))
}

/// Refuses what this runtime cannot do, before anything is made.
fn check(spec: &Spec) -> Result<&Process, Failure> {
    let refuse = |what: &str| Err(Failure::new(step::REQUEST, what));
    Namespaces::of(spec).check()?;
    let Some(process) = spec.process() else {
        return refuse("the specification has no process");
    };
    if process.args().iter().flatten().next().is_none() {
        return refuse("the specification has no command");
    }
    if process
        .apparmor_profile()
        .as_ref()
        .is_some_and(|name| !name.is_empty() && name != "unconfined")
    {
        return refuse("AppArmor profiles are not supported");
    }
    if process
        .selinux_label()
        .as_ref()
        .is_some_and(|label| !label.is_empty())
    {
        return refuse("SELinux labels are not supported");
    }
    if spec.hooks().is_some() {
        return refuse("hooks are not supported");
    }
    Ok(process)
}
