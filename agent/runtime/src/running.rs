//! A handle on one running container, as its supervisor shows it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use berth_agent_sys::process::{open_pidfd, signal_pidfd};
use tokio::sync::watch;
use tracing::warn;

use crate::attachment::{Attachment, Output, Stdin};
use crate::cgroup::get_ready;
use crate::connection::{Connection, ask, is_gone};
use crate::error::{AttachError, ControlError, ExecError};
use crate::exec::ExecProcess;
use crate::exit::ExitRecord;
use crate::leftovers;
use crate::protocol::{EXIT_RECORD, ExecMessage, Reply, Request, Started};
use crate::request::{AttachFrom, AttachOptions, ExecRequest, TerminalSize};

/// A running container; clones are handles on the same one.
#[derive(Clone, Debug)]
pub struct Running {
    shared: Arc<Shared>,
    ended: watch::Receiver<Ended>,
}

#[derive(Debug)]
struct Shared {
    id: String,
    bundle_dir: PathBuf,
    run_dir: PathBuf,
    started: Started,
}

/// What is known of a container's end.
#[derive(Clone, Debug)]
enum Ended {
    NotYet,
    With(ExitRecord),
    /// The supervisor is gone and left no record.
    Unknown,
}

impl Running {
    /// Takes over a connection on which the supervisor will tell the container's end.
    pub(crate) fn new(
        id: String,
        bundle_dir: PathBuf,
        run_dir: PathBuf,
        started: Started,
        mut connection: Connection,
    ) -> Self {
        let (sender, ended) = watch::channel(Ended::NotYet);
        let shared = Arc::new(Shared {
            id,
            bundle_dir,
            run_dir,
            started,
        });
        let watched = Arc::clone(&shared);
        tokio::spawn(async move {
            let end = match connection.receive().await {
                Ok(Some(Reply::Exited(record))) => Ended::With(record),
                other => {
                    warn!(id = watched.id, answer = ?other.err(), "a supervisor is gone");
                    watched.clean_up().await;
                    watched.read_record().map_or(Ended::Unknown, Ended::With)
                }
            };
            sender.send_replace(end);
        });
        Self { shared, ended }
    }

    /// Returns the process id of the container's first process, as the agent sees it.
    pub fn pid(&self) -> i32 {
        self.shared.started.pid
    }

    /// Returns the container's id.
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// Asks the supervisor whether the first process runs: then it has this id, which nobody else has got.
    pub(crate) async fn is_running(&self) -> bool {
        let asked = Connection::request(&self.shared.run_dir, &Request::Watch, b"").await;
        let Ok(mut connection) = asked else {
            return false;
        };
        let reply = connection.receive().await;
        matches!(reply, Ok(Some(Reply::Started(started))) if started.pid == self.pid())
    }

    pub(crate) fn bundle_dir(&self) -> &Path {
        &self.shared.bundle_dir
    }

    pub(crate) fn run_dir(&self) -> &Path {
        &self.shared.run_dir
    }

    /// Returns when the container's command was executed.
    pub fn started_at(&self) -> SystemTime {
        self.shared.started.started_at
    }

    /// Returns what could not be done as asked, though the container runs (a missing cgroup controller, a limit that
    /// the agent may not raise).
    pub fn warnings(&self) -> &[String] {
        &self.shared.started.warnings
    }

    /// Returns whether the container was paused when this agent met it; nothing when its supervisor does not say.
    pub fn was_paused(&self) -> Option<bool> {
        self.shared.started.frozen
    }

    /// Sends a signal to the container's first process.
    ///
    /// # Errors
    /// Fails when the container has ended or the signal's number is none.
    pub async fn signal(&self, signal: i32) -> Result<(), ControlError> {
        match self.control(Request::Signal { number: signal }).await {
            Err(ControlError::NotRunning { .. }) => self.signal_directly(signal),
            other => other,
        }
    }

    /// Sends a signal to a container whose supervisor cannot be reached although it has not told of an end: somebody
    /// has deleted its socket.
    fn signal_directly(&self, signal: i32) -> Result<(), ControlError> {
        let id = || self.id().to_owned();
        let has_ended = !matches!(*self.ended.borrow(), Ended::NotYet);
        let pidfd = match open_pidfd(self.pid()) {
            Ok(pidfd) if !has_ended && is_supervised(self.pid(), self.id()) => pidfd,
            _ => return Err(ControlError::NotRunning { id: id() }),
        };
        warn!(id = id(), "a supervisor's socket is gone");
        signal_pidfd(&pidfd, signal).map_err(|source| ControlError::Supervisor { id: id(), source })
    }

    /// Sets the size of the container's terminal.
    ///
    /// # Errors
    /// Fails when the container has ended or has no terminal.
    pub async fn resize(&self, size: TerminalSize) -> Result<(), ControlError> {
        self.control(Request::Resize(size)).await
    }

    /// Stops all processes of the container from running until [`Self::resume`].
    ///
    /// # Errors
    /// Fails when the container has ended or the machine has no freezer.
    pub async fn pause(&self) -> Result<(), ControlError> {
        self.control(Request::Freeze { frozen: true }).await
    }

    /// Lets a paused container run on.
    ///
    /// # Errors
    /// Fails when the container has ended or the machine has no freezer.
    pub async fn resume(&self) -> Result<(), ControlError> {
        self.control(Request::Freeze { frozen: false }).await
    }

    /// Attaches to the container's output and, if asked, its standard input.
    ///
    /// A slow reader holds up nobody and loses nothing. The output ends after the container's last byte. Attaching to
    /// a container that has just ended gives its output all the same.
    ///
    /// # Errors
    /// Fails when the supervisor cannot be talked to, or the log cannot be read.
    pub async fn attach(&self, options: AttachOptions) -> Result<Attachment, AttachError> {
        let failed = |source| AttachError::Supervisor {
            id: self.shared.id.clone(),
            source,
        };
        match self.attach_to_supervisor(options).await {
            Ok(Some(attachment)) => return Ok(attachment),
            Ok(None) => {}
            Err(e) if is_gone(&e) => {}
            Err(e) => return Err(failed(e)),
        }
        let output = match options.from {
            AttachFrom::Now => Output::empty(),
            AttachFrom::Start => Output::of_log(self, self.shared.started.log_start)
                .await
                .map_err(failed)?,
            AttachFrom::Beginning => Output::of_log(self, 0).await.map_err(failed)?,
        };
        Ok(Attachment {
            output,
            stdin: options.stdin.then(Stdin::closed),
        })
    }

    /// Returns nothing when the supervisor went away before it answered.
    async fn attach_to_supervisor(&self, options: AttachOptions) -> io::Result<Option<Attachment>> {
        let mut connection =
            Connection::request(&self.shared.run_dir, &Request::Attach(options), b"").await?;
        let Some(Reply::Attached { offset }) = connection.receive().await? else {
            return Ok(None);
        };
        let (stream, first) = connection.into_parts();
        let (reader, writer) = stream.into_split();
        let output = Output::of_supervisor(reader, first, offset, self.clone());
        let stdin = if options.stdin {
            Stdin::of_supervisor(writer)
        } else {
            // Closing this side would tell the supervisor nothing, and dropping the half would close it.
            writer.forget();
            return Ok(Some(Attachment {
                output,
                stdin: None,
            }));
        };
        Ok(Some(Attachment {
            output,
            stdin: Some(stdin),
        }))
    }

    /// Runs a further command inside the container.
    ///
    /// # Errors
    /// Fails with the name of the step that failed, or when the container has ended.
    pub async fn exec(&self, request: ExecRequest) -> Result<ExecProcess, ExecError> {
        // The command is moved into the container's group.
        drop(tokio::task::spawn_blocking(get_ready));
        let ExecRequest {
            process,
            terminal_size,
            attach,
            stdin,
            seccomp,
        } = request;
        let message = Request::Exec(Box::new(ExecMessage {
            process,
            terminal_size,
            attach,
            stdin,
        }));
        let failed = |source: io::Error| {
            let id = self.shared.id.clone();
            if is_gone(&source) {
                ExecError::NotRunning { id }
            } else {
                ExecError::Supervisor { id, source }
            }
        };
        let program = seccomp.as_deref().unwrap_or_default();
        let mut connection = Connection::request(&self.shared.run_dir, &message, program)
            .await
            .map_err(failed)?;
        match connection.receive().await.map_err(failed)? {
            Some(Reply::ExecStarted {
                pid,
                warnings,
                streams,
            }) => {
                let (id, run_dir) = (self.shared.id.clone(), self.shared.run_dir.clone());
                ExecProcess::new((id, run_dir), pid, warnings, &streams, attach, connection)
                    .map_err(failed)
            }
            Some(Reply::Failed(failure)) => Err(ExecError::Step {
                step: failure.step,
                message: failure.message,
                kind: failure.kind,
            }),
            Some(_) | None => Err(ExecError::NotRunning {
                id: self.shared.id.clone(),
            }),
        }
    }

    /// Waits until the container has ended and all of its output is in the log; `None` when its supervisor was killed
    /// and took the container with it.
    ///
    /// # Cancel safety
    /// May be dropped and called again at any time, from any number of clones.
    pub async fn wait(&self) -> Option<ExitRecord> {
        let mut ended = self.ended.clone();
        let end = ended.wait_for(|end| !matches!(end, Ended::NotYet)).await;
        match end.as_deref() {
            Ok(Ended::With(record)) => Some(record.clone()),
            Ok(Ended::NotYet | Ended::Unknown) | Err(_) => None,
        }
    }

    /// Returns how the container ended, if it has and that is known.
    pub fn exited(&self) -> Option<ExitRecord> {
        match &*self.ended.borrow() {
            Ended::With(record) => Some(record.clone()),
            Ended::NotYet | Ended::Unknown => None,
        }
    }

    async fn control(&self, request: Request) -> Result<(), ControlError> {
        control(&self.shared.id, &self.shared.run_dir, &request).await
    }
}

impl Shared {
    /// Nobody else does what the supervisor cannot any more.
    async fn clean_up(&self) {
        leftovers::remove_when_gone(&self.id, &self.bundle_dir, &self.run_dir).await;
    }

    fn read_record(&self) -> Option<ExitRecord> {
        let bytes = std::fs::read(self.bundle_dir.join(EXIT_RECORD)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

/// Returns whether a process runs as the child of the supervisor of this container, which nobody else can be: the
/// number may be another process's by now.
fn is_supervised(pid: i32, id: &str) -> bool {
    let read = |pid: &str, file: &str| std::fs::read(format!("/proc/{pid}/{file}"));
    let stat = read(&pid.to_string(), "stat").unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    // The name in brackets may have anything in it.
    let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let (Some(state), Some(parent)) = (fields.next(), fields.next()) else {
        return false;
    };
    let arguments = read(parent, "cmdline").unwrap_or_default();
    let last = arguments.strip_suffix(b"\0").unwrap_or(&arguments);
    !matches!(state, "Z" | "X") && last.rsplit(|byte| *byte == 0).next() == Some(id.as_bytes())
}

/// Asks a supervisor to do something that has no other answer than that it is done.
pub(crate) async fn control(
    id: &str,
    run_dir: &Path,
    request: &Request,
) -> Result<(), ControlError> {
    let id = || id.to_owned();
    match ask(run_dir, request).await {
        Ok(Some(Reply::Done)) => Ok(()),
        Ok(Some(Reply::Refused(message))) => Err(ControlError::Refused { id: id(), message }),
        Ok(Some(_) | None) => Err(ControlError::NotRunning { id: id() }),
        Err(e) if is_gone(&e) => Err(ControlError::NotRunning { id: id() }),
        Err(source) => Err(ControlError::Supervisor { id: id(), source }),
    }
}
