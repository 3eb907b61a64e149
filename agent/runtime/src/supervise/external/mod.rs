//! Containers that an external OCI runtime (runc, crun, youki) runs.
//!
//! The root filesystem is mounted in a mount namespace of the supervisor's own, so it goes away with the supervisor.
//! The runtime's `create` leaves the container's first process behind as an orphan, which the kernel hands to this
//! process, so that everything after the start is as with the built-in runtime.

mod console;
mod errand;
mod fit;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio as Pipe};
use std::time::SystemTime;

use berth_agent_sys::mount::attach;
use berth_agent_sys::process::open_pidfd;
use berth_agent_sys::terminal::set_size;
use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, unshare};
use oci_spec::runtime::{MountBuilder, Process, RootBuilder, Spec};
use serde::Deserialize;

use self::console::Console;
pub(super) use self::errand::Errand;
use super::bundle::Bundle;
use super::launch::Parts;
use super::streams::Streams;
use crate::cgroup::Cgroup;
use crate::error::FailureKind;
use crate::failure::{AtStep as _, Failure, step};
use crate::init::{Stdio, mount_root};
use crate::protocol::StartMessage;
use crate::runtime::open_readonly;

/// Where a container has our init, as with Docker.
const INIT: &str = "/sbin/docker-init";

/// A container of an external runtime.
#[derive(Debug)]
pub(super) struct External {
    program: PathBuf,
    id: String,
    run_dir: PathBuf,
}

impl External {
    /// Creates and starts the container.
    pub(super) fn launch(
        program: &Path,
        message: &StartMessage,
        bundle: &Bundle,
        cgroup: Cgroup,
        mut streams: Streams,
        stdio: Option<Stdio>,
    ) -> Result<Parts, Failure> {
        let run_dir = bundle.run_dir().to_owned();
        let external = Self {
            program: program.to_owned(),
            id: message.id.clone(),
            run_dir,
        };
        let mut warnings = Vec::new();
        let started = external.start(message, &mut streams, stdio, &mut warnings);
        let result = started.and_then(|pid| {
            let pidfd = open_pidfd(pid).at(step::EXTERNAL, || "the container's first process")?;
            Ok((pid, pidfd))
        });
        match result {
            Ok((pid, pidfd)) => Ok(Parts {
                pid,
                pidfd,
                started_at: SystemTime::now(),
                warnings,
                cgroup,
                streams,
                external: Some(external),
            }),
            Err(failure) => {
                external.delete();
                cgroup.kill_all();
                // What is left of a group is removed by the next start.
                drop(cgroup.delete());
                Err(failure)
            }
        }
    }

    fn start(
        &self,
        message: &StartMessage,
        streams: &mut Streams,
        stdio: Option<Stdio>,
        warnings: &mut Vec<String>,
    ) -> Result<i32, Failure> {
        let bundle = self.prepare(message, warnings)?;
        let mut create = self.command("create", &self.log(), stdio)?;
        create
            .arg("--bundle")
            .arg(&bundle)
            .arg("--pid-file")
            .arg(self.run_dir.join("pid"));
        let console = Console::open(
            &self.run_dir.join("console.sock"),
            streams_terminal(message.spec.process().as_ref()),
            &mut create,
        )?;
        self.run(create.arg(&self.id))?;
        if let Some(master) = console.receive()? {
            if let Some(size) = message.terminal_size {
                set_size(&master, size.rows, size.cols).at(step::TERMINAL, || "size")?;
            }
            streams
                .take_terminal(master)
                .at(step::TERMINAL, || "taking the terminal over")?;
        }
        let pid = read_pid(&self.run_dir.join("pid"))?;
        self.run(self.command("start", &self.log(), None)?.arg(&self.id))?;
        Ok(pid)
    }

    /// Mounts the root filesystem and writes the specification that names it.
    fn prepare(
        &self,
        message: &StartMessage,
        warnings: &mut Vec<String>,
    ) -> Result<PathBuf, Failure> {
        let root = self.run_dir.join("rootfs");
        let bundle = self.run_dir.join("bundle");
        for directory in [&root, &bundle] {
            match fs::create_dir(directory) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Failure::from_io(step::BUNDLE, directory.display(), &e));
                }
                _ => {}
            }
        }
        unshare(CloneFlags::CLONE_NEWNS)
            .at(step::NAMESPACES, || "mount namespace of the supervisor")?;
        mount_root(&message.rootfs, &root)?;
        let mut spec = message.spec.clone();
        let is_readonly = spec
            .root()
            .as_ref()
            .and_then(oci_spec::runtime::Root::readonly)
            .unwrap_or(false);
        let placed = RootBuilder::default()
            .path(root)
            .readonly(is_readonly)
            .build();
        spec.set_root(Some(
            placed.map_err(|e| Failure::new(step::BUNDLE, e.to_string()))?,
        ));
        if let Some(process) = spec.process_mut() {
            warnings.extend(fit::fit(process));
        }
        if let Some(executable) = message.executable.as_ref().filter(|_| message.init) {
            self.add_init(&mut spec, executable)?;
        }
        let path = bundle.join("config.json");
        let bytes = serde_json::to_vec(&spec)
            .map_err(io::Error::from)
            .at(step::BUNDLE, || path.display())?;
        fs::write(&path, bytes).at(step::BUNDLE, || path.display())?;
        Ok(bundle)
    }

    /// Has the command be run by our init: this program, read-only, at a place of the container's own.
    fn add_init(&self, spec: &mut Spec, executable: &Path) -> Result<(), Failure> {
        let source = self.run_dir.join("init");
        let what = || executable.display().to_string();
        let place = File::create(&source).at(step::EXTERNAL, || source.display())?;
        // Visible to this process and the runtime only, which are in a mount namespace of their own.
        let program = open_readonly(executable).at(step::EXTERNAL, what)?;
        attach(&program, &place).at(step::EXTERNAL, what)?;
        let mount = MountBuilder::default()
            .destination(INIT)
            .typ("bind")
            .source(source)
            .options(["bind", "ro"].map(str::to_owned).to_vec())
            .build()
            .map_err(|e| Failure::new(step::BUNDLE, e.to_string()))?;
        spec.mounts_mut().get_or_insert_default().push(mount);
        if let Some(process) = spec.process_mut() {
            let arguments = process.args().iter().flatten().cloned();
            let own = [INIT, "--"].map(str::to_owned);
            process.set_args(Some(own.into_iter().chain(arguments).collect()));
        }
        Ok(())
    }

    /// Removes what the runtime keeps about the container.
    pub(super) fn delete(&self) {
        if let Ok(mut delete) = self.command("delete", &self.log(), None) {
            // A container that was never created is gone as well.
            drop(self.run(delete.arg("--force").arg(&self.id)));
        }
        let _mounted = umount2(&self.run_dir.join("init"), MntFlags::MNT_DETACH);
        // Only this supervisor sees it; nothing is mounted there if the start failed early.
        let _mounted = umount2(&self.run_dir.join("rootfs"), MntFlags::MNT_DETACH);
    }

    fn command(&self, verb: &str, log: &Path, stdio: Option<Stdio>) -> Result<Command, Failure> {
        remove(log)?;
        let mut command = Command::new(&self.program);
        command
            .arg("--root")
            .arg(self.run_dir.join("runtime"))
            .arg("--log")
            .arg(log)
            .args(["--log-format", "json"]);
        command.arg(verb);
        match stdio {
            Some(Stdio::Files {
                stdin,
                stdout,
                stderr,
            }) => {
                command
                    .stdin(Pipe::from(stdin))
                    .stdout(Pipe::from(stdout))
                    .stderr(Pipe::from(stderr));
            }
            _ => {
                command
                    .stdin(Pipe::null())
                    .stdout(Pipe::null())
                    .stderr(Pipe::null());
            }
        }
        Ok(command)
    }

    fn run(&self, command: &mut Command) -> Result<(), Failure> {
        let what = || self.program.display();
        let status = command.status().at(step::EXTERNAL, what)?;
        self.judge(status, &self.log())
    }

    /// Finds the reason of a failure in the runtime's log.
    fn judge(&self, status: ExitStatus, log: &Path) -> Result<(), Failure> {
        if status.success() {
            return Ok(());
        }
        let log = fs::read_to_string(log).unwrap_or_default();
        let message =
            last_error(&log).unwrap_or_else(|| format!("{}: {status}", self.program.display()));
        let kind = kind_of(&message);
        Err(Failure::new(step::EXTERNAL, message).with_kind(kind))
    }

    fn log(&self) -> PathBuf {
        self.run_dir.join("runtime.log")
    }
}

fn remove(file: &Path) -> Result<(), Failure> {
    match fs::remove_file(file) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(Failure::from_io(step::EXTERNAL, file.display(), &e))
        }
        _ => Ok(()),
    }
}

fn read_pid(path: &Path) -> Result<i32, Failure> {
    let text = fs::read_to_string(path).at(step::EXTERNAL, || path.display())?;
    text.trim().parse().map_err(|_not_a_number| {
        Failure::new(step::EXTERNAL, format!("{}: no process id", path.display()))
    })
}

fn streams_terminal(process: Option<&Process>) -> bool {
    process.is_some_and(|process| process.terminal() == Some(true))
}

#[derive(Deserialize)]
struct LogLine {
    #[serde(default)]
    level: String,
    #[serde(default)]
    msg: String,
}

/// Returns the last error in a runtime's log.
fn last_error(log: &str) -> Option<String> {
    let lines = log
        .lines()
        .rev()
        .filter_map(|line| serde_json::from_str::<LogLine>(line).ok());
    lines
        .filter(|line| matches!(line.level.as_str(), "error" | "fatal"))
        .map(|line| line.msg)
        .next()
}

/// Guesses the cause from the runtime's words, since the interface of OCI runtimes has nothing better.
fn kind_of(message: &str) -> FailureKind {
    let lower = message.to_lowercase();
    if !lower.contains("exec") {
        FailureKind::Other
    } else if lower.contains("executable file not found")
        || lower.contains("no such file or directory")
    {
        FailureKind::CommandNotFound
    } else if lower.contains("permission denied") || lower.contains("exec format error") {
        FailureKind::CommandNotExecutable
    } else {
        FailureKind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_of_a_log_is_the_reason() {
        let log = "{\"level\":\"error\",\"msg\":\"first\"}\n\
                   {\"level\":\"error\",\"msg\":\"exec: \\\"x\\\": executable file not found in $PATH\"}\n\
                   {\"level\":\"info\",\"msg\":\"bye\"}\n";
        let message = last_error(log).unwrap();
        assert_eq!(kind_of(&message), FailureKind::CommandNotFound);
        assert_eq!(last_error("garbage"), None);
    }
}
