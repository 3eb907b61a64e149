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
use tracing::warn;

use crate::cgroup::get_ready;
use crate::connection::Connection;
use crate::error::{RuntimeError, StartError};
use crate::leftovers;
use crate::neighbours::pin;
use crate::protocol::{Reply, StartMessage, frame};
use crate::reattach::claim;
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
    /// Where it is on the machine.
    path: PathBuf,
    arguments: Vec<OsString>,
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
        let failed = |source| RuntimeError::Executable {
            path: path.clone(),
            source,
        };
        // A magic link cannot be the place of a mount, what it leads to can.
        let path = std::fs::canonicalize(&path).map_err(failed)?;
        let executable = open_readonly(&path).map_err(failed)?;
        Ok(Self {
            executable,
            path,
            arguments,
        })
    }

    /// Has the kernel get ready for a start that is going to come within the next few milliseconds, which is then as much
    /// sooner done. Costs next to nothing if none comes.
    ///
    /// Must be called from within a tokio runtime.
    pub fn expect_start(&self) {
        // Nobody needs to wait for it: who needs the result does.
        drop(tokio::task::spawn_blocking(get_ready));
    }

    /// Starts a container; its command has been executed when this returns.
    ///
    /// # Errors
    /// Fails with the name of the step that failed. Nothing of the container is left then, except its log.
    ///
    /// # Cancel safety
    /// When the future is dropped the start may still succeed; [`Self::reattach`] waits for it and tells.
    pub async fn start(&self, request: StartRequest) -> Result<Running, StartError> {
        self.expect_start();
        let StartRequest {
            id,
            bundle_dir,
            run_dir,
            seccomp,
            mut spec,
            ..
        } = request;
        // Open until the supervisor has answered.
        let _pinned = pin(&mut spec, &request.neighbours).await?;
        let message = StartMessage {
            id: id.clone(),
            bundle_dir: bundle_dir.clone(),
            run_dir: run_dir.clone(),
            spec,
            rootfs: request.rootfs,
            terminal_size: request.terminal_size,
            open_stdin: request.open_stdin,
            stdin_once: request.stdin_once,
            external_runtime: request.external_runtime,
            ephemeral: request.ephemeral,
            log: request.log,
            executable: request.init.then(|| self.path.clone()),
            init: request.init,
        };
        let failed = |action| move |source| StartError::Supervisor { action, source };
        let order = frame(&message, seccomp.as_deref().unwrap_or_default())
            .map_err(failed("encoding the order"))?;
        drop(message);
        let mut connection = self
            .spawn(&id, &bundle_dir)
            .map_err(failed("starting the supervisor"))?;
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
            Some(_) | None => {
                leftovers::remove_when_gone(&id, &bundle_dir, &run_dir).await;
                Err(StartError::SupervisorDied { id })
            }
        }
    }

    /// Starts a supervisor that waits for its order on the returned connection.
    fn spawn(&self, id: &str, bundle_dir: &Path) -> io::Result<Connection> {
        // The supervisor says what is wrong with a bundle that cannot be claimed.
        let claim = claim(bundle_dir).map_or_else(|_| Stdio::null(), Stdio::from);
        let (ours, theirs) = UnixStream::pair()?;
        let mut child = Command::new(format!("/proc/self/fd/{}", self.executable.as_raw_fd()))
            // Its names in lists of processes; the supervisor makes nothing of them.
            .arg0("berthd")
            .args(&self.arguments)
            .arg(id)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(claim)
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
}

/// Opens a file on a read-only mount of its own.
pub(crate) fn open_readonly(path: &Path) -> io::Result<OwnedFd> {
    let mount = clone_mount(path, false)?;
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
