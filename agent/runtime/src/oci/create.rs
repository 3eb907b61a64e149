//! `create`: making everything of a container up to the point where its command would be executed.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use berth_agent_sys::descriptor;
use berth_agent_sys::process::{fork, inherited, is_child, open_pidfd, send_signal};
use nix::sys::prctl::set_dumpable;
use nix::sys::statvfs::{FsFlags, fstatvfs};
use oci_spec::runtime::{Process, Spec};

use super::error::OciError;
use super::log::Log;
use super::record::{Record, Store, start_time};
use super::settle;
use super::time::rfc3339;
use super::words::Words;
use crate::cgroup::Cgroup;
use crate::failure::{AtStep as _, Failure, step};
use crate::hooks;
use crate::init::gate::Gate;
use crate::init::{Created, Init, Namespaces, ParentEnd, Stdio, ToParent, channel, run_init};
use crate::protocol::StartMessage;
use crate::request::{Rootfs, TerminalSize};
use crate::runtime::open_readonly;
use crate::seccomp;

/// The command line of `create`.
#[derive(Debug)]
struct Options {
    id: String,
    bundle: PathBuf,
    pid_file: Option<PathBuf>,
    console_socket: Option<PathBuf>,
    no_pivot: bool,
    n_preserved: usize,
}

impl Options {
    fn take(words: &mut Words) -> Result<Self, OciError> {
        let bundle = words
            .value("bundle", Some('b'))?
            .unwrap_or_else(|| ".".into());
        let n_preserved = match words.value("preserve-fds", None)? {
            None => 0,
            Some(text) => text.parse().map_err(|_no_number| {
                OciError::Usage(format!("--preserve-fds {text}: no number"))
            })?,
        };
        Ok(Self {
            bundle: fs::canonicalize(&bundle)
                .map_err(|e| OciError::io("finding bundle", &bundle, e))?,
            pid_file: words.value("pid-file", None)?.map(PathBuf::from),
            console_socket: words.value("console-socket", None)?.map(PathBuf::from),
            no_pivot: words.flag("no-pivot", None),
            // It makes no difference where no keyring is shared.
            n_preserved,
            id: words.only("a container")?,
        })
    }
}

pub(super) fn run(store: &Store, words: &mut Words, log: &Log) -> Result<(), OciError> {
    leave_writable_executable()?;
    let options = Options::take(words)?;
    let preserved = inherited(3, options.n_preserved)
        .map_err(|e| OciError::io("taking over", "descriptors of --preserve-fds", e))?;
    let spec = settle::read(&options.bundle)?;
    let process = settle::process(&spec)?.clone();
    let rootfs = settle::rootfs(&spec, &options.bundle)?;
    let has_terminal = process.terminal() == Some(true);
    if has_terminal != options.console_socket.is_some() {
        let text = if has_terminal {
            "process.terminal needs --console-socket"
        } else {
            "--console-socket needs process.terminal"
        };
        return Err(OciError::Usage(text.to_owned()));
    }
    let record = Record {
        oci_version: "1.0.2".to_owned(),
        id: options.id.clone(),
        pid: 0,
        start_time: 0,
        bundle: options.bundle.clone(),
        rootfs,
        created: rfc3339(SystemTime::now()),
        cgroup: settle::cgroup_path(&spec, &options.id),
        annotations: spec.annotations().clone().unwrap_or_else(HashMap::new),
        hooks: spec.hooks().clone(),
    };
    let cgroup = record.cgroup()?;
    let directory = store.claim(&options.id)?;
    let mut creation = Creation {
        store,
        log,
        options: &options,
        record,
        cgroup: &cgroup,
        owns_cgroup: false,
        children: Vec::new(),
    };
    let created = creation.create(spec, &process, &preserved, &directory);
    if created.is_err() {
        creation.undo(&directory);
    }
    created
}

/// Executes this program once more from a read-only mount of its own, unless that is where it is: what a container gets
/// hold of as `/proc/PID/exe` must not be a way to write it.
fn leave_writable_executable() -> Result<(), OciError> {
    let failed = |e| OciError::io("executing", "/proc/self/exe, read-only", e);
    let executable = File::open("/proc/self/exe").map_err(failed)?;
    let mount = fstatvfs(&executable).map_err(|e| failed(e.into()))?;
    if mount.flags().contains(FsFlags::ST_RDONLY) {
        return Ok(());
    }
    let path = fs::canonicalize("/proc/self/exe").map_err(failed)?;
    let readonly = open_readonly(&path).map_err(failed)?;
    let mut arguments = std::env::args_os();
    let mut again = Command::new(format!("/proc/self/fd/{}", readonly.as_raw_fd()));
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    Err(failed(again.args(arguments).exec()))
}

/// A container in the making.
struct Creation<'a> {
    store: &'a Store,
    log: &'a Log,
    options: &'a Options,
    record: Record,
    cgroup: &'a Cgroup,
    /// Whether the group is this container's, and not one that somebody else has under the name.
    owns_cgroup: bool,
    /// Processes to be ended if it fails.
    children: Vec<i32>,
}

impl Creation<'_> {
    fn create(
        &mut self,
        spec: Spec,
        process: &Process,
        preserved: &[OwnedFd],
        directory: &Path,
    ) -> Result<(), OciError> {
        // From here on `delete` finds what there is.
        self.store.write(&self.record)?;
        // Nobody in the container may look into this process, or into its children before they are the container's.
        set_dumpable(false).at(step::FORK, || "closing the process to others")?;
        let program = program(&spec)?;
        let namespaces = Namespaces::open(&spec)?;
        let resources = settle::resources(&spec);
        self.claim_cgroup()?;
        for warning in self
            .cgroup
            .create_empty(&resources)
            .map_err(Failure::from)?
        {
            self.log.warn(&warning);
        }
        let hooks = spec.hooks().clone();
        let gate = Gate::make(directory)?;
        let created = Created::new(gate, preserved, hooks.as_ref(), self.options.no_pivot);
        let message = self.message(spec, process);
        let stdio = streams(process)?;
        let (parent, child) = channel().at(step::FORK, || "channel")?;
        let init = Init {
            message: &message,
            process,
            seccomp: &program,
            cgroup: self.cgroup,
            stdio: stdio.as_ref(),
            sync: &child,
            namespaces: &namespaces,
            created: Some(&created),
        };
        let mut keep: Vec<BorrowedFd<'_>> = vec![child.fd()];
        keep.extend(namespaces.fds());
        keep.extend(created.gate.fds());
        keep.extend(preserved.iter().map(|fd| fd.as_fd()));
        keep.extend(stdio.iter().flat_map(Stdio::fds));
        let pid = namespaces.with_first_child(|| {
            fork(&keep, |copied| run_init(&init, copied))
                .at(step::FORK, || "the container's first process")
        })?;
        self.children.push(pid);
        // What follows notices the end of the process by the end of its channel.
        drop(keep);
        drop(child);
        self.cgroup.join(pid).map_err(Failure::from)?;
        // A child that has failed already says so itself.
        drop(parent.go());
        self.record.pid = pid;
        self.follow(&parent)?;
        self.finish()
    }

    /// Refuses a group that has processes. A bundle may name any group of the machine; whoever is in it is not this
    /// container's to end.
    fn claim_cgroup(&mut self) -> Result<(), OciError> {
        let n_members = self.cgroup.members().len();
        if n_members > 0 {
            let text = format!("container's cgroup is not empty: {n_members} process(es) found");
            return Err(Failure::new(step::CGROUP, text).into());
        }
        self.owns_cgroup = true;
        Ok(())
    }

    fn message(&self, spec: Spec, process: &Process) -> StartMessage {
        let size = process.console_size().map(|size| {
            let number = |n: u64| u16::try_from(n).unwrap_or(u16::MAX);
            TerminalSize {
                rows: number(size.height()),
                cols: number(size.width()),
            }
        });
        StartMessage {
            id: self.options.id.clone(),
            bundle_dir: self.options.bundle.clone(),
            // The place of the root, which is bound over itself.
            run_dir: self.record.rootfs.clone(),
            spec,
            rootfs: Rootfs::Directory(self.record.rootfs.clone()),
            terminal_size: size,
            open_stdin: false,
            stdin_once: false,
            external_runtime: None,
            ephemeral: false,
            init: false,
            executable: None,
            log: Default::default(),
        }
    }

    /// Listens to the process until it waits to be started.
    fn follow(&mut self, parent: &ParentEnd) -> Result<(), OciError> {
        let what = || "listening to the container's first process";
        let mut is_born = false;
        while let Some((message, descriptor)) = parent.receive().at(step::EXECUTE, what)? {
            match message {
                ToParent::Failed(failure) => return Err(failure.into()),
                ToParent::Created => return Ok(()),
                ToParent::Warning(text) if !is_born => self.log.warn(&text),
                ToParent::Terminal if !is_born => self.hand_over(descriptor)?,
                ToParent::Mounted if !is_born => self.run_hooks(parent)?,
                ToParent::Born(pid) if !is_born && is_child(pid) => {
                    is_born = true;
                    self.children.push(pid);
                    self.record.pid = pid;
                    // A process that has failed already says so itself.
                    drop(parent.go());
                }
                _ => {}
            }
        }
        let text = "the container's first process was killed on its way";
        Err(Failure::new(step::EXECUTE, text).into())
    }

    /// Hands the terminal to whoever listens for it.
    fn hand_over(&self, master: Option<OwnedFd>) -> Result<(), OciError> {
        let (Some(master), Some(path)) = (master, &self.options.console_socket) else {
            return Ok(());
        };
        let failed = |e| OciError::io("handing the terminal to", path.display(), e);
        let socket = UnixStream::connect(path).map_err(failed)?;
        let sent = descriptor::send(&socket, b"/dev/ptmx", &[master.as_fd()]);
        sent.map(drop).map_err(failed)
    }

    fn run_hooks(&mut self, parent: &ParentEnd) -> Result<(), OciError> {
        let state = super::json(&self.record.state_as("creating"))?;
        if let Some(all) = &self.record.hooks {
            hooks::run(all.prestart().as_ref(), state.as_bytes())?;
            hooks::run(all.create_runtime().as_ref(), state.as_bytes())?;
        }
        let told = parent.tell_state(state.as_bytes());
        Ok(told.at(step::HOOK, || "telling the container's state")?)
    }

    /// Writes down what has been made.
    fn finish(&mut self) -> Result<(), OciError> {
        let pid = self.record.pid;
        self.record.start_time = start_time(pid).ok_or_else(|| {
            Failure::new(step::EXECUTE, "the container's first process has ended")
        })?;
        self.store.write(&self.record)?;
        let Some(path) = &self.options.pid_file else {
            return Ok(());
        };
        let failed = |e: io::Error| OciError::io("writing", path.display(), e);
        let mut new = path.clone().into_os_string();
        new.push(".new");
        fs::write(&new, pid.to_string()).map_err(failed)?;
        fs::rename(&new, path).map_err(failed)
    }

    /// Ends and removes whatever there is.
    fn undo(&self, directory: &Path) {
        for pid in &self.children {
            if is_child(*pid) {
                drop(send_signal(*pid, libc::SIGKILL));
                reap(*pid);
            }
        }
        // The error that led here is the one to be told.
        if self.owns_cgroup {
            self.cgroup.kill_all();
            drop(self.cgroup.delete());
        }
        drop(fs::remove_dir_all(directory));
    }
}

/// Takes the exit status of a child that has been killed.
fn reap(pid: i32) {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    if let Ok(pidfd) = open_pidfd(pid) {
        let limit = PollTimeout::from(5000_u16);
        let _ended = poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], limit);
    }
    let flags = Some(nix::sys::wait::WaitPidFlag::WNOHANG);
    let _status = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), flags);
}

/// Compiles the filter of a specification.
fn program(spec: &Spec) -> Result<Vec<u8>, OciError> {
    let linux = spec.linux().as_ref();
    let Some(profile) = linux.and_then(|linux| linux.seccomp().as_ref()) else {
        return Ok(Vec::new());
    };
    let failed = |message: String| OciError::Step(Failure::new(step::SECCOMP, message));
    let text = serde_json::to_string(profile).map_err(|e| failed(e.to_string()))?;
    let compiled = seccomp::compile(&text, &std::collections::BTreeSet::new());
    let program = compiled.map_err(|e| {
        let source = std::error::Error::source(&e).map(|s| format!(": {s}"));
        failed(format!("{e}{}", source.unwrap_or_default()))
    })?;
    Ok(program.to_vec())
}

/// Returns the streams of this process for the container, unless that gets a terminal.
fn streams(process: &Process) -> Result<Option<Stdio>, Failure> {
    if process.terminal() == Some(true) {
        return Ok(None);
    }
    let what = || "standard streams";
    let copy = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().at(step::STREAMS, what);
    Ok(Some(Stdio::Files {
        stdin: copy(io::stdin().as_fd())?,
        stdout: copy(io::stdout().as_fd())?,
        stderr: copy(io::stderr().as_fd())?,
    }))
}
