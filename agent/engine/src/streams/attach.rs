//! Attaches clients to containers, before or after their start.

use std::sync::Arc;

use berth_agent_runtime::log::{ReadLogError, Reader};
use berth_agent_runtime::{AttachFrom, AttachOptions as RuntimeOptions};
use tokio::sync::oneshot;

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::containers::LookupError;
use crate::container::status::Phase;
use crate::container::{Container, Unreachable, Waiter};
use crate::streams::detach_keys::{DetachKeys, InvalidDetachKeys};
use crate::streams::log_driver;
use crate::streams::session::{Replay, Seen, Session, Streams};

/// How to attach to a container.
#[derive(Clone, Debug, Default)]
pub struct AttachOptions {
    /// The client's input goes to the process.
    pub stdin: bool,
    /// The client gets standard output.
    pub stdout: bool,
    /// The client gets standard error.
    pub stderr: bool,
    /// What was written before is replayed.
    pub logs: bool,
    /// Keys to detach with, on terminals only; empty: the default.
    pub detach_keys: String,
}

/// A client is not attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// There is no such container.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The detach keys are nonsense.
    #[error(transparent)]
    DetachKeys(#[from] InvalidDetachKeys),
    /// It is frozen.
    #[error("container {0} is paused, unpause the container before attach")]
    Paused(String),
    /// It runs, but nothing can be asked of it.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The log cannot be read.
    #[error("reading the container's log")]
    Log(#[source] ReadLogError),
    /// The supervisor failed.
    #[error("attaching to the container")]
    Runtime(#[source] berth_agent_runtime::AttachError),
}

impl Engine {
    /// Attaches a client. When this returns, nothing of the output is missed from then on. A client
    /// of a container that does not run waits for its start and then sees all of that run.
    ///
    /// # Errors
    /// When there is no such container or it cannot be attached to.
    pub async fn attach(
        &self,
        name: &str,
        options: &AttachOptions,
    ) -> Result<Session, AttachError> {
        let keys = DetachKeys::parse(&options.detach_keys)?;
        let container = self.containers.find(name)?;
        if container.phase() == Phase::Paused {
            return Err(AttachError::Paused(name.to_owned()));
        }
        let (stdin, has_tty) =
            container.with_record(|r| (options.stdin && r.config.open_stdin, r.config.tty));
        let session = self.connect(&container, options, stdin).await?;
        self.container_event(&container, "attach");
        let streams = Streams {
            stdout: options.stdout,
            stderr: options.stderr,
        };
        Ok(session
            .with_streams(streams)
            .with_detach_keys(has_tty.then_some(keys))
            .with_detachment(self.announcement(&container, "detach", [])))
    }

    async fn connect(
        &self,
        container: &Arc<Container>,
        options: &AttachOptions,
        stdin: bool,
    ) -> Result<Session, AttachError> {
        // Before anything else: an end that comes while the client is being attached counts.
        let seen = Seen::now(container);
        let (sender, receiver) = oneshot::channel();
        let waiter = Waiter {
            stdin,
            attachment: sender,
        };
        let Some((running, _waiter)) = container.running_or_wait(waiter)? else {
            let replay = self.replay(container, options, None)?;
            return Ok(Session::waiting((container, seen), receiver).with_replay(replay));
        };
        let from = AttachFrom::Now;
        let attachment = running
            .attach(RuntimeOptions { from, stdin })
            .await
            .map_err(AttachError::Runtime)?;
        // Exactly up to where the supervisor goes on.
        let replay = self.replay(container, options, attachment.output.offset())?;
        Ok(Session::live((container, seen), attachment).with_replay(replay))
    }

    /// Opens what was written before, up to `end` or the end that it has now.
    fn replay(
        &self,
        container: &Container,
        options: &AttachOptions,
        end: Option<u64>,
    ) -> Result<Option<Replay>, AttachError> {
        let is_kept = || container.with_record(|r| log_driver::readable(&r.host.log).is_ok());
        if !options.logs || !is_kept() {
            return Ok(None);
        }
        let folder = self.paths.container(container.id());
        let mut reader = Reader::open(&folder).map_err(AttachError::Log)?;
        let end = match end {
            Some(end) => end,
            None => reader.end().map_err(AttachError::Log)?,
        };
        Ok(Some(Replay { reader, end }))
    }
}

impl Classified for AttachError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Lookup(error) => error.class(),
            Self::DetachKeys(_) => ErrorClass::InvalidArgument,
            Self::Paused(_)
            | Self::Runtime(berth_agent_runtime::AttachError::NotRunning { .. }) => {
                ErrorClass::Conflict
            }
            Self::Log(_) | Self::Runtime(_) | Self::Unreachable(_) => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.reason(),
            Self::DetachKeys(_) => "invalid-detach-keys",
            Self::Paused(_) => "paused",
            Self::Runtime(berth_agent_runtime::AttachError::NotRunning { .. }) => "not-running",
            Self::Log(_) | Self::Runtime(_) | Self::Unreachable(_) => "attach-failed",
        }
    }
}
