//! Starting the container: everything between the order and the first instruction of the container's command.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use berth_agent_sys::process::{fork, is_child, open_pidfd, send_signal};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use oci_spec::runtime::{LinuxResources, Process, Spec};

use super::NotStarted;
use super::bundle::Bundle;
use super::external::External;
use super::patience::Patience;
use super::streams::{Plan, Streams};
use crate::cgroup::{Cgroup, CgroupError, Layout};
use crate::failure::{AtStep as _, Failure, step};
use crate::init::{Init, Namespaces, ParentEnd, Stdio, ToParent, channel, run_init};
use crate::protocol::{RunState, StartMessage};

/// How long a killed process may take to end.
const KILL_GRACE_MILLISECONDS: u16 = 5000;

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
    // First of all: what their paths lead to now is what is joined.
    let namespaces = Namespaces::open(&message.spec)?;
    let mut bundle = Bundle::prepare(
        &message.bundle_dir,
        &message.run_dir,
        !message.ephemeral,
        message.log.clone(),
    )?;
    // Whoever hears that the container runs may connect at once.
    let listener = bundle.listen();
    let launched = listener.and_then(|listener| {
        Ok((
            launch_in(&message, &process, &namespaces, seccomp, &mut bundle)?,
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
            has_own_pids: namespaces.has_own_pids(),
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
    namespaces: &Namespaces,
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
        None => launch_built_in(
            (message, process, namespaces),
            seccomp,
            cgroup,
            streams,
            stdio,
        ),
    }
}

fn launch_built_in(
    (message, process, namespaces): (&StartMessage, &Process, &Namespaces),
    seccomp: &[u8],
    cgroup: Cgroup,
    mut streams: Streams,
    stdio: Option<Stdio>,
) -> Result<Parts, Failure> {
    let (parent, child) = channel().at(step::FORK, || "channel")?;
    let init = Init {
        message,
        process,
        seccomp,
        cgroup: &cgroup,
        stdio: stdio.as_ref(),
        sync: &child,
        namespaces,
        created: None,
    };
    let forked = namespaces.with_first_child(|| fork_init(&init))?;
    drop((child, stdio));
    let resources = message
        .spec
        .linux()
        .as_ref()
        .and_then(|linux| linux.resources().clone())
        .unwrap_or_default();
    let mut way = Way::new(&parent, forked);
    // The child mounts meanwhile.
    let outcome = way
        .admit(&cgroup, &resources)
        .and_then(|()| way.follow(|master| streams.take_terminal(master)))
        .and_then(|()| open_pidfd(way.pid).at(step::FORK, || "the container's first process"));
    match outcome {
        Ok(pidfd) => Ok(Parts {
            pid: way.pid,
            pidfd,
            started_at: SystemTime::now(),
            warnings: way.warnings,
            cgroup,
            streams,
            external: None,
        }),
        Err(failure) => {
            for pid in [forked, way.pid] {
                end_child(pid);
            }
            cgroup.kill_all();
            // What is left of a group is removed by the next start.
            drop(cgroup.delete());
            Err(failure)
        }
    }
}

fn fork_init(init: &Init<'_>) -> Result<i32, Failure> {
    let mut keep: Vec<BorrowedFd<'_>> = vec![init.sync.fd()];
    keep.extend(init.namespaces.fds());
    keep.extend(init.stdio.iter().flat_map(|stdio| stdio.fds()));
    fork(&keep, |copied| run_init(init, copied)).at(step::FORK, || "the container's first process")
}

/// Kills a child and takes its exit status. One that hangs in the kernel is left to whoever inherits it.
fn end_child(pid: i32) {
    if !is_child(pid) {
        return;
    }
    // It may have ended by itself.
    drop(send_signal(pid, libc::SIGKILL));
    if let Ok(pidfd) = open_pidfd(pid) {
        let limit = PollTimeout::from(KILL_GRACE_MILLISECONDS);
        let _ended = poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], limit);
    }
    let _status = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
}

/// The container's first process on its way to the command.
struct Way<'a> {
    parent: &'a ParentEnd,
    pid: i32,
    warnings: Vec<String>,
    patience: Patience,
    is_born: bool,
    is_executing: bool,
}

impl<'a> Way<'a> {
    fn new(parent: &'a ParentEnd, pid: i32) -> Self {
        Self {
            parent,
            pid,
            warnings: Vec::new(),
            patience: Patience::with(step::NAMESPACES),
            is_born: false,
            is_executing: false,
        }
    }

    /// Makes a group and puts the process into it.
    fn admit(&mut self, cgroup: &Cgroup, resources: &LinuxResources) -> Result<(), Failure> {
        self.warnings = cgroup.create(resources).map_err(|e| cgroup_failure(&e))?;
        cgroup.join(self.pid).map_err(|e| cgroup_failure(&e))?;
        // A child that has failed already says so itself.
        drop(self.parent.go());
        self.patience.renew();
        Ok(())
    }

    /// Listens to the process until it executes the command.
    fn follow(
        &mut self,
        mut take_terminal: impl FnMut(OwnedFd) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        let what = || "listening to the container's first process";
        loop {
            if !self
                .parent
                .wait(self.patience.left())
                .at(step::EXECUTE, what)?
            {
                self.patience.look_at(self.pid).map_or(Ok(()), Err)?;
                continue;
            }
            match self.parent.receive().at(step::EXECUTE, what)? {
                Some((ToParent::Terminal, Some(master))) if !self.is_born => {
                    take_terminal(master).at(step::TERMINAL, || "taking the terminal over")?;
                }
                Some((message, _)) => self.take(message)?,
                None if self.is_executing => return Ok(()),
                None => {
                    return Err(Failure::new(
                        step::EXECUTE,
                        "the container's first process was killed on its way",
                    ));
                }
            }
        }
    }

    /// Believes what nobody in another container can have said, whose processes this one shares: before it is born
    /// among them, everything, afterwards only what concerns itself.
    fn take(&mut self, message: ToParent) -> Result<(), Failure> {
        match message {
            ToParent::Failed(failure) => return Err(failure),
            ToParent::Executing => self.is_executing = true,
            ToParent::Reached(step) if !self.is_born => self.patience.reached(&step),
            ToParent::Warning(text) if !self.is_born => self.warnings.push(text),
            ToParent::Born(pid) if !self.is_born && is_child(pid) => {
                (self.pid, self.is_born) = (pid, true);
                self.patience.reached(step::EXECUTE);
                // A process that has failed already says so itself.
                drop(self.parent.go());
            }
            _ => {}
        }
        Ok(())
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
    let Some(process) = spec.process() else {
        return refuse("the specification has no process");
    };
    if process.args().iter().flatten().next().is_none() {
        return refuse("the specification has no command");
    }
    if spec.hooks().is_some() {
        return refuse("hooks are not supported");
    }
    Ok(process)
}
