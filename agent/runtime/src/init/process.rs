//! The last stretch of a process on its way to being a container's: user, capabilities, limits, filter, `execve`.

use std::cell::OnceCell;
use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use berth_agent_sys::keyring;
use berth_agent_sys::process::{Copied, close_on_exec_from, reset_signals};
use berth_agent_sys::terminal::make_controlling;
use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag};
use nix::sys::prctl::{set_dumpable, set_pdeathsig};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, fstat, umask};
use nix::unistd::{
    Uid, dup2_stderr, dup2_stdin, dup2_stdout, execve, fchdir, fchown, getcwd, setsid,
};
use oci_spec::runtime::{Hooks, PosixRlimitType, Process};

use super::executable;
use super::first;
use super::gate::Gate;
use super::labels::{self, Labels};
use super::rights::{Wanted, change_user, confine, wanted_capabilities};
use super::root::{Kind, Root};
use super::sync::ChildEnd;
use crate::error::FailureKind;
use crate::failure::{AtStep as _, Failure, step};
use crate::hooks;

/// What becomes standard input, output and error.
#[derive(Debug)]
pub(crate) enum Stdio {
    Terminal(OwnedFd),
    Files {
        stdin: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
}

impl Stdio {
    /// Returns its descriptors.
    pub(crate) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Terminal(peer) => vec![peer.as_fd()],
            Self::Files {
                stdin,
                stdout,
                stderr,
            } => vec![stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
        }
    }
}

/// All that turns a process into a container's command.
#[derive(Clone, Copy)]
pub(super) struct Birth<'a> {
    pub(super) process: &'a Process,
    /// The filter of system calls.
    pub(super) program: &'a [u8],
    pub(super) stdio: &'a Stdio,
    pub(super) sync: &'a ChildEnd,
    /// Whether an init of ours stays between the supervisor and the command.
    pub(super) has_init: bool,
    /// What differs for a container that is created first and started later.
    pub(super) created: Option<&'a Created<'a>>,
}

/// A container that is created first and started later, by programs that do not stay.
#[derive(Debug)]
pub(crate) struct Created<'a> {
    pub(crate) gate: Gate,
    /// Descriptors from 3 on that the command gets.
    pub(crate) preserved: &'a [OwnedFd],
    pub(crate) hooks: Option<&'a Hooks>,
    /// Whether the machine's root cannot be exchanged (it is an initial ramdisk).
    pub(crate) no_pivot: bool,
    /// The container's state, for hooks; known when they are run.
    pub(super) state: OnceCell<Vec<u8>>,
}

impl<'a> Created<'a> {
    pub(crate) fn new(
        gate: Gate,
        preserved: &'a [OwnedFd],
        hooks: Option<&'a Hooks>,
        no_pivot: bool,
    ) -> Self {
        Self {
            gate,
            preserved,
            hooks,
            no_pivot,
            state: OnceCell::new(),
        }
    }

    /// Has the machine's side run its hooks, and runs those of the container's namespaces.
    pub(super) fn run_creation_hooks(&self, sync: &ChildEnd) -> Result<(), Failure> {
        let Some(all) = self.hooks else {
            return Ok(());
        };
        let told = sync.mounted()?;
        let state = self.state.get_or_init(|| told);
        hooks::run(all.create_container().as_ref(), state)
    }

    /// Waits to be started, and runs the hooks that are the last before the command.
    fn wait(&self, sync: &ChildEnd) -> Result<(), Failure> {
        sync.created().at(step::EXECUTE, || "telling the runtime")?;
        self.gate.wait()?;
        let (Some(all), Some(state)) = (self.hooks, self.state.get()) else {
            return Ok(());
        };
        hooks::run(
            all.start_container().as_ref(),
            &with_status(state, "created"),
        )
    }

    fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let preserved = self.preserved.iter().map(|fd| fd.as_fd());
        self.gate.fds().into_iter().chain(preserved)
    }
}

/// Changes the status in a container's state.
fn with_status(state: &[u8], status: &str) -> Vec<u8> {
    let changed = serde_json::from_slice::<serde_json::Value>(state).map(|mut value| {
        if let Some(place) = value.get_mut("status") {
            *place = status.into();
        }
        value.to_string().into_bytes()
    });
    changed.unwrap_or_else(|_| state.to_vec())
}

/// Tells whoever listens how a process ended without executing anything.
pub(super) fn report(
    sync: &ChildEnd,
    created: Option<&Created<'_>>,
    result: Result<Infallible, Failure>,
) {
    let Err(failure) = result;
    if !created.is_some_and(|created| created.gate.report(&failure)) {
        sync.report(Err(failure));
    }
}

/// Turns this process, which nobody in a container can see yet, into the command; returns only with what prevented it.
pub(super) fn become_command(copied: Copied, birth: Birth<'_>) -> Result<Infallible, Failure> {
    let command = prepare(birth)?;
    birth.begin_session()?;
    if birth.has_init {
        close_to_others()?;
    }
    birth.announce()?;
    command.label()?;
    confine(birth.process, birth.program, command.wanted)?;
    if birth.has_init {
        first::start(copied, &command, birth)
    } else {
        command.execute()
    }
}

/// Lets a child of the supervisor become the command, in the process id namespace that is set for children, whose
/// processes may see it at once: it is born with nothing left that the command does not get.
pub(super) fn beget_command(copied: Copied, birth: Birth<'_>) -> Result<Infallible, Failure> {
    let Birth { process, sync, .. } = birth;
    let command = prepare(birth)?;
    confine(process, birth.program, command.wanted)?;
    close_to_others()?;
    let begin = |copied| {
        birth.begin_session()?;
        sync.wait_for_word(step::EXECUTE)?;
        birth.announce()?;
        command.label()?;
        if birth.has_init {
            first::start(copied, &command, birth)
        } else {
            command.execute()
        }
    };
    let sibling = |copied| {
        report(sync, birth.created, begin(copied));
        1
    };
    let mut keep = vec![sync.fd()];
    keep.extend(birth.created.into_iter().flat_map(Created::fds));
    keep.extend(command.labels.iter().map(Labels::fd));
    let error = copied.succeed(&keep, sibling, |pid| sync.born(pid));
    Err(stillborn(&error))
}

/// Keeps processes of the container out of this one's memory and descriptors. Some machines make processes that have
/// changed their user accessible.
fn close_to_others() -> Result<(), Failure> {
    set_dumpable(false).at(step::USER, || "closing the process to others")
}

impl Birth<'_> {
    pub(super) fn has_terminal(&self) -> bool {
        matches!(self.stdio, Stdio::Terminal(_))
    }

    /// Says that all that is left is `execve`, when it is time for that.
    fn announce(&self) -> Result<(), Failure> {
        if let Some(created) = self.created {
            return created.wait(self.sync);
        }
        self.sync
            .executing()
            .at(step::EXECUTE, || "telling the supervisor")
    }

    /// Makes this process the leader of a session, whose terminal is standard input, and ties it to its supervisor.
    fn begin_session(&self) -> Result<(), Failure> {
        setsid().at(step::STREAMS, || "beginning a session")?;
        if self.has_terminal() {
            make_controlling(io::stdin()).at(step::TERMINAL, || "controlling terminal")?;
        }
        if self.created.is_some() {
            return Ok(());
        }
        // A container does not outlive its supervisor. Changing the user forgets this, so it comes after.
        set_pdeathsig(Signal::SIGKILL).at(step::USER, || "tying the process to its supervisor")
    }
}

/// Says why a command's process could not be made.
fn stillborn(error: &io::Error) -> Failure {
    let what = match error.raw_os_error() {
        Some(libc::EAGAIN) => "the container, or its user, has as many processes as it may have",
        Some(libc::ENOMEM) => "the container has ended, or there is no memory",
        Some(libc::EPERM | libc::ENOSYS) => "the seccomp profile does not allow clone",
        _ => "the command's process",
    };
    Failure::from_io(step::FORK, what, error)
}

/// All that `execve` needs.
pub(super) struct Command {
    name: String,
    executable: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    wanted: Wanted,
    labels: Option<Labels>,
}

impl Command {
    fn label(&self) -> Result<(), Failure> {
        self.labels.as_ref().map_or(Ok(()), Labels::set)
    }

    pub(super) fn execute(&self) -> Result<Infallible, Failure> {
        let Err(errno) = execve(&self.executable, &self.arguments, &self.environment);
        Err(executable::describe(&self.name, errno))
    }
}

/// Gives this process everything of the command's but its session and its rights.
fn prepare(birth: Birth<'_>) -> Result<Command, Failure> {
    let Birth {
        process,
        stdio,
        sync,
        ..
    } = birth;
    sync.reached(step::STREAMS);
    let labels = labels::of(process, sync)?;
    let user = process.user();
    connect(stdio, Uid::from_raw(user.uid()))?;
    limit(process, sync)?;
    if let Err(e) = keyring::join_new_session() {
        // Kernels without keyrings, and filters of an outer container, leave nothing to separate.
        if !matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) {
            return Err(Failure::from_io(step::USER, "session keyring", &e));
        }
    }
    let n_preserved = birth.created.map_or(0, |created| created.preserved.len());
    let first = i32::try_from(3 + n_preserved).unwrap_or(i32::MAX);
    close_on_exec_from(first).at(step::STREAMS, || "closing descriptors")?;
    reset_signals().at(step::EXECUTE, || "resetting signals")?;
    umask(Mode::from_bits_truncate(user.umask().unwrap_or(0o022)));

    let wanted = wanted_capabilities(process, sync)?;
    change_user(process)?;
    sync.reached(step::DIRECTORY);
    enter_directory(process.cwd())?;
    sync.reached(step::EXECUTE);
    let arguments = process.args().as_deref().unwrap_or_default();
    let name = arguments.first().cloned().unwrap_or_default();
    let environment = process.env().as_deref().unwrap_or_default();
    Ok(Command {
        executable: executable::find(&name, environment)?,
        arguments: strings(arguments)?,
        environment: strings(environment)?,
        name,
        wanted,
        labels,
    })
}

fn strings(list: &[String]) -> Result<Vec<CString>, Failure> {
    let convert = |text: &String| {
        CString::new(text.as_str())
            .map_err(|e| Failure::from_io(step::EXECUTE, text.escape_debug(), &e.into()))
    };
    list.iter().map(convert).collect()
}

fn connect(stdio: &Stdio, user: Uid) -> Result<(), Failure> {
    let (stdin, stdout, stderr) = match stdio {
        Stdio::Terminal(peer) => (peer, peer, peer),
        Stdio::Files {
            stdin,
            stdout,
            stderr,
        } => (stdin, stdout, stderr),
    };
    for stream in [stdin, stdout, stderr] {
        let stat = fstat(stream).at(step::STREAMS, || "standard stream")?;
        let is_terminal = matches!(stdio, Stdio::Terminal(_));
        // Another user than root opens /dev/stdout again only if it owns what is behind it; /dev/null is nobody's.
        if (is_terminal || stat.st_mode & libc::S_IFMT == libc::S_IFIFO)
            && stat.st_uid != user.as_raw()
        {
            match fchown(stream, Some(user), None) {
                // Streams that come from elsewhere may be on something that has no owners, or keeps them.
                Ok(()) | Err(Errno::EPERM | Errno::EINVAL | Errno::EROFS) => {}
                Err(e) => {
                    let what = "owner of a standard stream";
                    return Err(Failure::from_io(step::STREAMS, what, &e.into()));
                }
            }
        }
    }
    let connect = dup2_stdin(stdin)
        .and_then(|()| dup2_stdout(stdout))
        .and_then(|()| dup2_stderr(stderr));
    connect.at(step::STREAMS, || "standard streams")
}

fn limit(process: &Process, sync: &ChildEnd) -> Result<(), Failure> {
    for limit in process.rlimits().iter().flatten() {
        let resource = resource(limit.typ());
        let (soft, hard) = (limit.soft().min(limit.hard()), limit.hard());
        match setrlimit(resource, soft, hard) {
            Ok(()) => {}
            Err(Errno::EPERM) => {
                // Without CAP_SYS_RESOURCE nobody gets more than the agent has.
                let (_, most) = getrlimit(resource).at(step::LIMITS, || limit.typ())?;
                sync.warn(format!(
                    "{}: {hard} is more than the {most} that the agent may give",
                    limit.typ()
                ));
                let most = hard.min(most);
                setrlimit(resource, soft.min(most), most).at(step::LIMITS, || limit.typ())?;
            }
            Err(e) => return Err(Failure::from_io(step::LIMITS, limit.typ(), &e.into())),
        }
    }
    Ok(())
}

pub(crate) fn resource(kind: PosixRlimitType) -> Resource {
    match kind {
        PosixRlimitType::RlimitCpu => Resource::RLIMIT_CPU,
        PosixRlimitType::RlimitFsize => Resource::RLIMIT_FSIZE,
        PosixRlimitType::RlimitData => Resource::RLIMIT_DATA,
        PosixRlimitType::RlimitStack => Resource::RLIMIT_STACK,
        PosixRlimitType::RlimitCore => Resource::RLIMIT_CORE,
        PosixRlimitType::RlimitRss => Resource::RLIMIT_RSS,
        PosixRlimitType::RlimitNproc => Resource::RLIMIT_NPROC,
        PosixRlimitType::RlimitNofile => Resource::RLIMIT_NOFILE,
        PosixRlimitType::RlimitMemlock => Resource::RLIMIT_MEMLOCK,
        PosixRlimitType::RlimitAs => Resource::RLIMIT_AS,
        PosixRlimitType::RlimitLocks => Resource::RLIMIT_LOCKS,
        PosixRlimitType::RlimitSigpending => Resource::RLIMIT_SIGPENDING,
        PosixRlimitType::RlimitMsgqueue => Resource::RLIMIT_MSGQUEUE,
        PosixRlimitType::RlimitNice => Resource::RLIMIT_NICE,
        PosixRlimitType::RlimitRtprio => Resource::RLIMIT_RTPRIO,
        PosixRlimitType::RlimitRttime => Resource::RLIMIT_RTTIME,
    }
}

/// Enters the working directory, which must be inside the root. It is opened without following magic links: those of
/// procfs lead to whatever a descriptor that was left open leads to.
fn enter_directory(path: &Path) -> Result<(), Failure> {
    let what = || path.display().to_string();
    let refused = |failure: Failure| failure.with_kind(FailureKind::WorkingDirectory);
    let root = Root::open(Path::new("/")).at(step::DIRECTORY, what)?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let found = match root.find(path, flags, ResolveFlag::empty()) {
        // As Docker does; only root may make it.
        Err(Errno::ENOENT) => root
            .ensure(path, Kind::Directory)
            .and_then(|_| root.find(path, flags, ResolveFlag::empty())),
        other => other,
    };
    let directory = found.at(step::DIRECTORY, what).map_err(refused)?;
    fchdir(directory.as_fd())
        .at(step::DIRECTORY, what)
        .map_err(refused)?;
    let is_inside = getcwd()
        .is_ok_and(|directory| directory.is_absolute() && !directory.starts_with("/(unreachable)"));
    if is_inside {
        Ok(())
    } else {
        Err(refused(Failure::new(
            step::DIRECTORY,
            format!("{}: outside of the root", what()),
        )))
    }
}

/// Sets how willingly the kernel kills this process for want of memory; to be called before the namespaces change.
pub(super) fn set_oom_score(process: &Process, sync: &ChildEnd) -> Result<(), Failure> {
    let Some(score) = process.oom_score_adj() else {
        return Ok(());
    };
    match std::fs::write("/proc/self/oom_score_adj", score.to_string()) {
        Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied) => {
            sync.warn(format!(
                "oom_score_adj {score} is less than the agent may give"
            ));
            Ok(())
        }
        other => other.at(step::LIMITS, || format!("oom_score_adj {score}")),
    }
}
