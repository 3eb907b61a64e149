//! The agent's handle on all containers: starts supervisors and finds them again.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use berth_agent_sys::mount::{attribute, clone_mount, set_attributes};
use tokio::process::Command;
use tracing::{debug, warn};

use crate::cgroup::{Cgroup, Layout};
use crate::connection::{Connection, is_gone};
use crate::error::{ReattachError, RuntimeError, StartError};
use crate::exit::ExitRecord;
use crate::protocol::{EXIT_RECORD, Reply, Request, RunState, STATE, StartMessage, frame};
use crate::request::StartRequest;
use crate::running::Running;

/// How supervisors are started.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Executable that runs [`crate::supervise_main`]; usually `/proc/self/exe`.
    pub executable: PathBuf,
    /// Arguments that make it do so; usually `["supervise"]`.
    pub arguments: Vec<OsString>,
}

/// Starts containers and finds those of a former agent again.
#[derive(Debug)]
pub struct Runtime {
    /// The executable on a read-only mount that is attached nowhere: a container that gets hold of its supervisor's
    /// executable cannot write to it.
    executable: OwnedFd,
    arguments: Vec<OsString>,
}

/// What became of a container while no agent watched it.
#[derive(Debug)]
pub enum Reattached {
    /// It still runs.
    Running(Running),
    /// It ended, and its supervisor wrote down how.
    Exited(ExitRecord),
    /// Neither it nor a record of its end is left (the machine crashed, or the supervisor was killed).
    Lost,
}

impl Runtime {
    /// Opens the executable for supervisors, in a way that a container cannot write to it.
    ///
    /// # Errors
    /// Fails when the executable cannot be opened.
    pub fn new(config: RuntimeConfig) -> Result<Self, RuntimeError> {
        let RuntimeConfig {
            executable: path,
            arguments,
        } = config;
        let executable =
            open_readonly(&path).map_err(|source| RuntimeError::Executable { path, source })?;
        Ok(Self {
            executable,
            arguments,
        })
    }

    /// Starts a container; its command has been executed when this returns.
    ///
    /// # Errors
    /// Fails with the name of the step that failed. Nothing of the container is left then, except its log.
    ///
    /// # Cancel safety
    /// When the future is dropped the start may still succeed; [`Self::reattach`] tells.
    pub async fn start(&self, request: StartRequest) -> Result<Running, StartError> {
        let StartRequest {
            id,
            bundle_dir,
            run_dir,
            seccomp,
            ..
        } = request;
        let message = StartMessage {
            id: id.clone(),
            bundle_dir: bundle_dir.clone(),
            run_dir: run_dir.clone(),
            spec: request.spec,
            rootfs: request.rootfs,
            terminal_size: request.terminal_size,
            open_stdin: request.open_stdin,
            stdin_once: request.stdin_once,
            external_runtime: request.external_runtime,
            ephemeral: request.ephemeral,
        };
        let failed = |action| move |source| StartError::Supervisor { action, source };
        let order = frame(&message, seccomp.as_deref().unwrap_or_default())
            .map_err(failed("encoding the order"))?;
        drop(message);
        let mut connection = self.spawn(&id).map_err(failed("starting the supervisor"))?;
        connection
            .send(&order)
            .await
            .map_err(failed("sending the order to the supervisor"))?;
        drop(order);
        let reply = connection
            .receive()
            .await
            .map_err(failed("listening to the supervisor"))?;
        match reply {
            Some(Reply::Started(started)) => {
                Ok(Running::new(id, bundle_dir, run_dir, started, connection))
            }
            Some(Reply::Busy) => Err(StartError::AlreadyRunning { id }),
            Some(Reply::Failed(failure)) => Err(StartError::Step {
                step: failure.step,
                message: failure.message,
                kind: failure.kind,
            }),
            Some(_) | None => Err(StartError::SupervisorDied { id }),
        }
    }

    /// Starts a supervisor that waits for its order on the returned connection.
    fn spawn(&self, id: &str) -> io::Result<Connection> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut child = Command::new(format!("/proc/self/fd/{}", self.executable.as_raw_fd()))
            // Its names in lists of processes; the supervisor makes nothing of them.
            .arg0("berthd")
            .args(&self.arguments)
            .arg(id)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        // The supervisor says itself what there is to say; this only takes its exit status off the kernel's hands.
        tokio::spawn(async move {
            if let Err(error) = child.wait().await {
                warn!(%error, "waiting for a supervisor");
            }
        });
        Connection::new(ours)
    }

    /// Finds out what became of a container that a former agent started.
    ///
    /// Leftovers of a lost container (processes, cgroups, its run directory) are removed.
    ///
    /// # Errors
    /// Fails when its supervisor or its record cannot be read, which says nothing about the container.
    pub async fn reattach(
        &self,
        id: &str,
        bundle_dir: &Path,
        run_dir: &Path,
    ) -> Result<Reattached, ReattachError> {
        let failed = |source| ReattachError::Supervisor {
            id: id.to_owned(),
            source,
        };
        match watch(run_dir).await {
            Ok(Some((Reply::Started(started), connection))) => {
                let (bundle_dir, run_dir) = (bundle_dir.to_owned(), run_dir.to_owned());
                return Ok(Reattached::Running(Running::new(
                    id.to_owned(),
                    bundle_dir,
                    run_dir,
                    started,
                    connection,
                )));
            }
            // It ended while it was asked.
            Ok(_) => {}
            Err(e) if is_gone(&e) => {}
            Err(e) => return Err(failed(e)),
        }
        let path = bundle_dir.join(EXIT_RECORD);
        match std::fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(record) => Ok(Reattached::Exited(record)),
                Err(e) => Err(ReattachError::ExitRecord {
                    path,
                    source: e.into(),
                }),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let run_dir = run_dir.to_owned();
                let cleaned = tokio::task::spawn_blocking(move || clean_up(&run_dir)).await;
                debug!(id, ?cleaned, "a container has left no record");
                Ok(Reattached::Lost)
            }
            Err(source) => Err(ReattachError::ExitRecord { path, source }),
        }
    }
}

async fn watch(run_dir: &Path) -> io::Result<Option<(Reply, Connection)>> {
    let mut connection = Connection::request(run_dir, &Request::Watch, b"").await?;
    Ok(connection.receive().await?.map(|reply| (reply, connection)))
}

/// Ends and removes what a killed supervisor left behind.
fn clean_up(run_dir: &Path) -> io::Result<()> {
    let state = match std::fs::read(run_dir.join(STATE)) {
        Ok(bytes) => serde_json::from_slice::<RunState>(&bytes)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    let cgroup = Cgroup::new(Layout::detect()?, &state.cgroup).map_err(io::Error::other)?;
    cgroup.kill_all();
    cgroup.delete().map_err(io::Error::other)?;
    std::fs::remove_dir_all(run_dir)
}

/// Opens a file on a read-only mount of its own.
fn open_readonly(path: &Path) -> io::Result<OwnedFd> {
    // A magic link cannot be the place of a mount, what it leads to can.
    let path = std::fs::canonicalize(path)?;
    let mount = clone_mount(&path, false)?;
    set_attributes(
        mount.as_fd(),
        attribute::RDONLY | attribute::NOSUID,
        0,
        None,
        false,
    )?;
    // Keeps nothing open for writing, and says so when the file cannot be read.
    drop(File::open(format!("/proc/self/fd/{}", mount.as_raw_fd()))?);
    Ok(mount)
}
