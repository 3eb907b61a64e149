//! Runs further commands in running containers.

use std::io;
use std::sync::Arc;

use berth_agent_runtime::{ControlError, ExecHandle, ExecProcess};

use crate::Engine;
use crate::class::{Classified, ErrorClass, command_exit_code, command_reason};
use crate::container::Container;
use crate::container::containers::LookupError;
use crate::create::user::UserError;
use crate::id::{ContainerId, random_hex};
use crate::options::TerminalSize;
use crate::spec::{SecurityError, SpecError};
use crate::streams::detach_keys::{DetachKeys, InvalidDetachKeys};
use crate::streams::exec_registry::{ExecState, NoSuchExec};
use crate::streams::exec_request::{check, exec_request};
use crate::streams::session::{Session, Streams};

/// Bytes of a command that its events tell.
const MOST_TOLD: usize = 4096;

/// A further command.
#[derive(Clone, Debug, Default)]
pub struct ExecOptions {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// `NAME=value`, over the container's.
    pub env: Vec<String>,
    /// Working directory; empty: the container's.
    pub working_dir: String,
    /// `user[:group]`; empty: the container's.
    pub user: String,
    /// Gives it a terminal.
    pub tty: bool,
    /// The client's input goes to it.
    pub stdin: bool,
    /// The client gets standard output.
    pub stdout: bool,
    /// The client gets standard error.
    pub stderr: bool,
    /// All capabilities.
    pub privileged: bool,
    /// Nobody is attached.
    pub detach: bool,
    /// Keys to detach with, on terminals only; empty: the default.
    pub detach_keys: String,
    /// Size of a new terminal.
    pub size: Option<TerminalSize>,
}

/// A command that was started.
#[derive(Debug)]
pub struct ExecStarted {
    /// Its identity.
    pub id: String,
    /// Its streams, unless it was started detached.
    pub session: Option<Session>,
}

/// A command is not started.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// There is no such container.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// There is nothing to run.
    #[error("No exec command specified")]
    NoCommand,
    /// The working directory is relative.
    #[error("the working directory '{0}' is invalid, it needs to be an absolute path")]
    RelativeWorkingDir(String),
    /// It does not run.
    #[error("container {0} is not running")]
    NotRunning(ContainerId),
    /// It is frozen.
    #[error("Container {0} is paused, unpause the container before exec")]
    Paused(ContainerId),
    /// It is about to be started again.
    #[error("Container {0} is restarting, wait until the container is running")]
    Restarting(ContainerId),
    /// The kernel would see another text than the one that was given.
    #[error("invalid {0}: contains a NUL character")]
    Nul(&'static str),
    /// A variable without a name.
    #[error("invalid environment variable: {0}")]
    Environment(String),
    /// There is no such command.
    #[error(transparent)]
    Unknown(#[from] NoSuchExec),
    /// It was started before.
    #[error("exec command {0} is already running")]
    Started(String),
    /// The detach keys are nonsense.
    #[error(transparent)]
    DetachKeys(#[from] InvalidDetachKeys),
    /// The user does not exist.
    #[error(transparent)]
    User(#[from] UserError),
    /// The container's files cannot be looked at.
    #[error("opening the container's files")]
    Root(#[source] io::Error),
    /// The container's security options are wrong.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The process cannot be described.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The runtime failed.
    #[error("OCI runtime exec failed")]
    Run(#[source] berth_agent_runtime::ExecError),
}

impl Engine {
    /// Runs a command in a running container.
    ///
    /// # Errors
    /// When it cannot be started; that the command fails is no error.
    pub async fn exec(
        self: &Arc<Self>,
        name: &str,
        options: ExecOptions,
    ) -> Result<ExecStarted, ExecError> {
        let detach = options.detach;
        let id = self.create_exec(name, options)?;
        let session = self.start_exec(&id, detach, None).await?;
        Ok(ExecStarted { id, session })
    }

    /// Notes a command that is to be started in a running container, and returns its identity.
    ///
    /// # Errors
    /// When it could not be started.
    pub fn create_exec(&self, name: &str, options: ExecOptions) -> Result<String, ExecError> {
        let container = self.containers.find(name)?;
        DetachKeys::parse(&options.detach_keys)?;
        check(&container, &options)?;
        let id = random_hex(32);
        let words = told(&options);
        let action = format!("exec_create: {words}");
        self.container_event_with(&container, &action, [("execID", &id)]);
        self.execs.created(ExecState {
            id: id.clone(),
            container: container.id().clone(),
            options,
            pid: 0,
            running: false,
            exit_code: None,
            has_ended: false,
        });
        Ok(id)
    }

    /// Returns what is known of a command that could be started now.
    ///
    /// # Errors
    /// When there is no such command, it was started before, or its container does not run.
    pub fn startable_exec(&self, id: &str) -> Result<ExecState, ExecError> {
        let state = self.execs.find(id)?;
        if state.running || state.has_ended {
            return Err(ExecError::Started(id.to_owned()));
        }
        let container = self.containers.find(state.container.as_str())?;
        check(&container, &state.options)?;
        Ok(state)
    }

    /// Starts a command that was noted; returns its streams unless nobody is to be attached. A size of
    /// its terminal here counts more than the one that was noted.
    ///
    /// # Errors
    /// When it cannot be started, or was before; that the command fails is no error.
    pub async fn start_exec(
        self: &Arc<Self>,
        id: &str,
        detach: bool,
        size: Option<TerminalSize>,
    ) -> Result<Option<Session>, ExecError> {
        let known = self.execs.take_for_start(id)?;
        let state = known.ok_or_else(|| ExecError::Started(id.to_owned()))?;
        let mut options = state.options;
        options.detach = detach;
        options.size = size.or(options.size);
        let streams = Streams {
            stdout: options.stdout,
            stderr: options.stderr,
        };
        let keys = DetachKeys::parse(&options.detach_keys)?;
        let tty = options.tty;
        let (container, process) = self.start_taken(id, &state.container, options).await?;
        Ok(process.attachment.map(|attachment| {
            Session::exec(attachment, process.handle, tty)
                .with_streams(streams)
                .with_detach_keys(tty.then_some(keys))
                .with_detachment(self.announcement(&container, "exec_detach", [("execID", id)]))
        }))
    }

    /// Runs a command in a running container; returns its identity and a handle.
    pub(crate) async fn exec_in(
        self: &Arc<Self>,
        container: &Arc<Container>,
        options: ExecOptions,
    ) -> Result<(String, ExecProcess), ExecError> {
        let detach = options.detach;
        let id = self.create_exec(container.id().as_str(), options)?;
        let known = self.execs.take_for_start(&id)?;
        let state = known.ok_or_else(|| ExecError::Started(id.clone()))?;
        let options = ExecOptions {
            detach,
            ..state.options
        };
        let started = self.start_taken(&id, container.id(), options).await;
        started.map(|(_container, process)| (id, process))
    }

    /// Starts a command that was taken for that. It goes on when the future is dropped: what is noted as
    /// running, runs, and its end is told.
    async fn start_taken(
        self: &Arc<Self>,
        id: &str,
        container: &ContainerId,
        options: ExecOptions,
    ) -> Result<(Arc<Container>, ExecProcess), ExecError> {
        let (engine, id, container) = (Arc::clone(self), id.to_owned(), container.clone());
        let work = tokio::spawn(async move {
            let started = async {
                let container = engine.containers.find(container.as_str())?;
                let process = engine.start_in(&container, &id, options).await?;
                Ok((container, process))
            };
            let started: Result<_, ExecError> = started.await;
            if let Err(error) = &started {
                // Docker's codes for commands that cannot be started are those of shells.
                let code = error.exit_code().unwrap_or(126);
                engine.execs.ended(&id, Some(code));
            }
            started
        });
        crate::task::outcome(work).await
    }

    async fn start_in(
        &self,
        container: &Arc<Container>,
        id: &str,
        options: ExecOptions,
    ) -> Result<ExecProcess, ExecError> {
        check(container, &options)?;
        let not_running = || ExecError::NotRunning(container.id().clone());
        let running = container.running().ok_or_else(not_running)?;
        let pid = running.pid();
        let words = told(&options);
        // The container's files may be on a filesystem that it serves itself and that never answers.
        let target = Arc::clone(container);
        let work = tokio::task::spawn_blocking(move || exec_request(&target, pid, &options));
        let mut request = crate::task::outcome(work).await?;
        let asked = container.with_record(|record| record.host.resources.ulimits.clone());
        self.config.defaults.limit(&mut request.process, &asked)?;
        let process = running.exec(request).await.map_err(|error| match error {
            berth_agent_runtime::ExecError::NotRunning { .. } => not_running(),
            error => ExecError::Run(error),
        })?;
        let action = format!("exec_start: {words}");
        self.container_event_with(container, &action, [("execID", id)]);
        let handle = process.handle.clone();
        self.execs.started(id, handle.pid(), handle.clone());
        self.tell_exec_end(container, id, handle);
        Ok(process)
    }
}

impl Engine {
    /// Tells the end of a command when it comes.
    fn tell_exec_end(&self, container: &Arc<Container>, id: &str, handle: ExecHandle) {
        let death = self.announcement(container, "exec_die", [("execID", id)]);
        let (execs, id) = (Arc::clone(&self.execs), id.to_owned());
        tokio::spawn(async move {
            let code = handle.wait().await;
            execs.ended(&id, code);
            if let Some(code) = code {
                death.publish_with("exitCode", code.to_string());
            }
        });
    }
}

/// The size of a further command's terminal is not set.
#[derive(Debug, thiserror::Error)]
pub enum ResizeExecError {
    /// There is no such command.
    #[error(transparent)]
    Unknown(#[from] NoSuchExec),
    /// It does not run.
    #[error("exec process {0} is not running")]
    NotRunning(String),
    /// The runtime refused.
    #[error("cannot resize exec {id}")]
    Control {
        /// The command.
        id: String,
        /// Why.
        #[source]
        source: ControlError,
    },
}

impl Engine {
    /// Returns what is known of a further command.
    ///
    /// # Errors
    /// When there is none of that id, or when it ended too long ago.
    pub fn inspect_exec(&self, id: &str) -> Result<ExecState, NoSuchExec> {
        self.execs.find(id)
    }

    /// Waits until what is known of a further command says that it does not run.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn exec_ended(&self, id: &str) {
        self.execs.wait_for_end(id).await;
    }

    /// Sets the size of a further command's terminal.
    ///
    /// # Errors
    /// When it does not run or has no terminal.
    pub async fn resize_exec(&self, id: &str, size: TerminalSize) -> Result<(), ResizeExecError> {
        let not_running = || ResizeExecError::NotRunning(id.to_owned());
        let handle = self.execs.handle(id)?.ok_or_else(not_running)?;
        let resized = handle.resize(size.into()).await;
        resized.map_err(|source| ResizeExecError::Control {
            id: id.to_owned(),
            source,
        })
    }
}

/// Returns the command as events tell it.
fn told(options: &ExecOptions) -> String {
    let mut words = options.command.join(" ");
    // A script can be megabytes long, and the events of many of them are kept.
    words.truncate(words.floor_char_boundary(MOST_TOLD));
    words
}

impl ExecError {
    /// Returns the exit code that Docker gives to a command that failed so.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Run(error) => command_exit_code(error.kind()),
            _ => None,
        }
    }
}

impl Classified for ExecError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Lookup(error) => error.class(),
            Self::Unknown(error) => error.class(),
            Self::NotRunning(_) | Self::Paused(_) | Self::Restarting(_) | Self::Started(_) => {
                ErrorClass::Conflict
            }
            Self::Root(_) | Self::Spec(_) => ErrorClass::Internal,
            Self::Run(_) if self.exit_code().is_none() => ErrorClass::Internal,
            _ => ErrorClass::InvalidArgument,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.reason(),
            Self::Unknown(error) => error.reason(),
            Self::NotRunning(_) | Self::Restarting(_) => "not-running",
            Self::Paused(_) => "paused",
            Self::Started(_) => "wrong-state",
            Self::User(_) => "user-not-found",
            Self::Run(error) => command_reason(error.kind(), "exec-failed"),
            _ => "invalid-argument",
        }
    }
}

impl Classified for ResizeExecError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Unknown(error) => error.class(),
            Self::NotRunning(_) => ErrorClass::Conflict,
            Self::Control { .. } => ErrorClass::InvalidArgument,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Unknown(error) => error.reason(),
            Self::NotRunning(_) => "not-running",
            Self::Control { .. } => "resize-failed",
        }
    }
}
