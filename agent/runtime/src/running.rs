//! A handle on one running container, as its supervisor shows it.

use std::time::SystemTime;

use crate::attachment::Attachment;
use crate::error::{AttachError, ControlError, ExecError};
use crate::exec::ExecProcess;
use crate::exit::ExitRecord;
use crate::request::{AttachOptions, ExecRequest, TerminalSize};

/// A running container; clones are handles on the same one.
#[derive(Clone, Debug)]
pub struct Running {}

impl Running {
    /// Returns the process id of the container's first process, as the agent sees it.
    pub fn pid(&self) -> i32 {
        todo!()
    }

    /// Returns when the container's command was executed.
    pub fn started_at(&self) -> SystemTime {
        todo!()
    }

    /// Returns what could not be done as asked, though the container runs (a missing cgroup controller, a limit that
    /// the agent may not raise); empty after a reattach.
    pub fn warnings(&self) -> &[String] {
        todo!()
    }

    /// Sends a signal to the container's first process.
    ///
    /// # Errors
    /// Fails when the container has ended or the signal's number is none.
    pub async fn signal(&self, signal: i32) -> Result<(), ControlError> {
        let _ = signal;
        tokio::task::yield_now().await;
        todo!()
    }

    /// Sets the size of the container's terminal.
    ///
    /// # Errors
    /// Fails when the container has ended or has no terminal.
    pub async fn resize(&self, size: TerminalSize) -> Result<(), ControlError> {
        let _ = size;
        tokio::task::yield_now().await;
        todo!()
    }

    /// Stops all processes of the container from running until [`Self::resume`].
    ///
    /// # Errors
    /// Fails when the container has ended or the machine has no freezer.
    pub async fn pause(&self) -> Result<(), ControlError> {
        tokio::task::yield_now().await;
        todo!()
    }

    /// Lets a paused container run on.
    ///
    /// # Errors
    /// Fails when the container has ended or the machine has no freezer.
    pub async fn resume(&self) -> Result<(), ControlError> {
        tokio::task::yield_now().await;
        todo!()
    }

    /// Attaches to the container's output and, if asked, its standard input.
    ///
    /// A slow reader holds up nobody and loses nothing. The output ends after the container's last byte.
    ///
    /// # Errors
    /// Fails when the container has ended and its supervisor is gone.
    pub async fn attach(&self, options: AttachOptions) -> Result<Attachment, AttachError> {
        let _ = options;
        tokio::task::yield_now().await;
        todo!()
    }

    /// Runs a further command inside the container.
    ///
    /// # Errors
    /// Fails with the name of the step that failed, or when the container has ended.
    pub async fn exec(&self, request: ExecRequest) -> Result<ExecProcess, ExecError> {
        let _ = request;
        tokio::task::yield_now().await;
        todo!()
    }

    /// Waits until the container has ended and all of its output is in the log; `None` when its supervisor was killed
    /// and took the container with it.
    ///
    /// # Cancel safety
    /// May be dropped and called again at any time, from any number of clones.
    pub async fn wait(&self) -> Option<ExitRecord> {
        tokio::task::yield_now().await;
        todo!()
    }

    /// Returns how the container ended, if it has.
    pub fn exited(&self) -> Option<ExitRecord> {
        todo!()
    }
}
