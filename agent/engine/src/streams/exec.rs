//! Runs further commands in running containers.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use berth_agent_runtime::{ExecHandle, ExecProcess, ExecRequest};
use berth_agent_sys::root_dir::RootDir;

use crate::Engine;
use crate::class::{Classified, ErrorClass, command_exit_code, command_reason};
use crate::container::Container;
use crate::container::containers::LookupError;
use crate::container::record::ContainerRecord;
use crate::container::status::Phase;
use crate::create::env;
use crate::create::rootfs::{self, UserQuery};
use crate::create::user::UserError;
use crate::id::{ContainerId, random_hex};
use crate::options::TerminalSize;
use crate::spec::{self, ProcessInput, SecurityError, SecurityOptions, SpecError};
use crate::streams::detach_keys::{DetachKeys, InvalidDetachKeys};
use crate::streams::exec_registry::{ExecState, NoSuchExec};
use crate::streams::session::Session;

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
        let keys = DetachKeys::parse(&options.detach_keys)?;
        let container = self.containers.find(name)?;
        let tty = options.tty;
        let (id, process) = self.exec_in(&container, options).await?;
        let session = process.attachment.map(|attachment| {
            Session::exec(attachment, process.handle, tty)
                .with_detach_keys(tty.then_some(keys))
                .with_detachment(self.announcement(&container, "exec_detach", [("execID", &id)]))
        });
        Ok(ExecStarted { id, session })
    }

    /// Runs a command in a running container; returns its identity and a handle.
    pub(crate) async fn exec_in(
        &self,
        container: &Arc<Container>,
        options: ExecOptions,
    ) -> Result<(String, ExecProcess), ExecError> {
        if options.command.is_empty() {
            return Err(ExecError::NoCommand);
        }
        if !options.working_dir.is_empty() && !options.working_dir.starts_with('/') {
            return Err(ExecError::RelativeWorkingDir(options.working_dir));
        }
        check_texts(&options)?;
        match container.phase() {
            Phase::Paused => return Err(ExecError::Paused(container.id().clone())),
            Phase::Restarting => return Err(ExecError::Restarting(container.id().clone())),
            _ => {}
        }
        let not_running = || ExecError::NotRunning(container.id().clone());
        let running = container.running().ok_or_else(not_running)?;
        let pid = running.pid();
        let (id, mut words) = (random_hex(32), options.command.join(" "));
        // A script can be megabytes long, and the events of many of them are kept.
        words.truncate(words.floor_char_boundary(MOST_TOLD));
        let tell = |action: &str| {
            let action = format!("{action}: {words}");
            self.container_event_with(container, &action, [("execID", &id)]);
        };
        tell("exec_create");
        // The container's files may be on a filesystem that it serves itself and that never answers.
        let target = Arc::clone(container);
        let known = options.clone();
        let work = tokio::task::spawn_blocking(move || exec_request(&target, pid, &options));
        let mut request = crate::task::outcome(work).await?;
        let asked = container.with_record(|record| record.host.resources.ulimits.clone());
        self.config.defaults.limit(&mut request.process, &asked)?;
        let process = running.exec(request).await.map_err(|error| match error {
            berth_agent_runtime::ExecError::NotRunning { .. } => not_running(),
            error => ExecError::Run(error),
        })?;
        tell("exec_start");
        self.execs.started(ExecState {
            id: id.clone(),
            container: container.id().clone(),
            options: known,
            pid: process.handle.pid(),
            running: true,
            exit_code: None,
        });
        self.tell_exec_end(container, &id, process.handle.clone());
        Ok((id, process))
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

impl Engine {
    /// Returns what is known of a further command.
    ///
    /// # Errors
    /// When there is none of that id, or when it ended too long ago.
    pub fn inspect_exec(&self, id: &str) -> Result<ExecState, NoSuchExec> {
        self.execs.find(id)
    }
}

/// Checks what the kernel or the process would read otherwise.
fn check_texts(options: &ExecOptions) -> Result<(), ExecError> {
    let has_nul = |text: &String| text.contains('\0');
    for (what, is_wrong) in [
        ("command", options.command.iter().any(has_nul)),
        ("environment variable", options.env.iter().any(has_nul)),
        ("working directory", has_nul(&options.working_dir)),
        ("user", has_nul(&options.user)),
    ] {
        if is_wrong {
            return Err(ExecError::Nul(what));
        }
    }
    let is_nameless = |word: &&String| word.is_empty() || word.starts_with('=');
    match options.env.iter().find(is_nameless) {
        Some(word) => Err(ExecError::Environment(word.clone())),
        None => Ok(()),
    }
}

fn exec_request(
    container: &Container,
    pid: i32,
    options: &ExecOptions,
) -> Result<ExecRequest, ExecError> {
    let record = container.record();
    let security = security(&record, options)?;
    let user = if options.user.is_empty() {
        &record.config.user
    } else {
        &options.user
    };
    // Links below this name are resolved inside the container's root, not ours.
    let root =
        RootDir::open(&PathBuf::from(format!("/proc/{pid}/root"))).map_err(ExecError::Root)?;
    let env = env::layer(record.config.env.clone(), &options.env);
    let working_dir = if options.working_dir.is_empty() {
        &record.config.working_dir
    } else {
        &options.working_dir
    };
    let query = UserQuery {
        user: user.clone(),
        groups: record.host.group_add.clone(),
    };
    let input = ProcessInput {
        argv: options.command.clone(),
        env: &env,
        linked_env: &[],
        working_dir,
        user: rootfs::in_root(&root, &query)?,
        hostname: &record.config.hostname,
        tty: options.tty,
    };
    Ok(ExecRequest {
        process: spec::process(&input, &security).map_err(SpecError::from)?,
        terminal_size: options.size.map(Into::into),
        attach: !options.detach,
        stdin: options.stdin && !options.detach,
        seccomp: security.seccomp,
    })
}

fn security(
    record: &ContainerRecord,
    options: &ExecOptions,
) -> Result<SecurityOptions, SecurityError> {
    let mut host = record.host.clone();
    if options.privileged {
        host.privileged = true;
    }
    SecurityOptions::new(&host)
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
            Self::NotRunning(_) | Self::Paused(_) | Self::Restarting(_) => ErrorClass::Conflict,
            Self::Root(_) | Self::Spec(_) => ErrorClass::Internal,
            Self::Run(_) if self.exit_code().is_none() => ErrorClass::Internal,
            _ => ErrorClass::InvalidArgument,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.reason(),
            Self::NotRunning(_) | Self::Restarting(_) => "not-running",
            Self::Paused(_) => "paused",
            Self::User(_) => "user-not-found",
            Self::Run(error) => command_reason(error.kind(), "exec-failed"),
            _ => "invalid-argument",
        }
    }
}
