//! A command that runs inside a container beside its first process.

use crate::attachment::Attachment;
use crate::error::ControlError;
use crate::request::TerminalSize;

/// A started command.
#[derive(Debug)]
pub struct ExecProcess {
    /// Its streams, when the request asked for them.
    pub attachment: Option<Attachment>,
    /// For everything else; may be cloned.
    pub handle: ExecHandle,
}

/// A handle on a started command; clones are handles on the same one.
#[derive(Clone, Debug)]
pub struct ExecHandle {}

impl ExecHandle {
    /// Returns the command's process id, as the agent sees it.
    pub fn pid(&self) -> i32 {
        todo!()
    }

    /// Returns what could not be done as asked, though the command runs.
    pub fn warnings(&self) -> &[String] {
        todo!()
    }

    /// Sets the size of the command's terminal.
    ///
    /// # Errors
    /// Fails when the command has ended or has no terminal.
    pub async fn resize(&self, size: TerminalSize) -> Result<(), ControlError> {
        let _ = size;
        tokio::task::yield_now().await;
        todo!()
    }

    /// Sends a signal to the command.
    ///
    /// # Errors
    /// Fails when the command has ended or the signal's number is none.
    pub async fn signal(&self, signal: i32) -> Result<(), ControlError> {
        let _ = signal;
        tokio::task::yield_now().await;
        todo!()
    }

    /// Waits for the command's end and returns its exit code as shells count it; `None` when the container's supervisor
    /// was killed.
    ///
    /// # Cancel safety
    /// May be dropped and called again at any time, from any number of clones.
    pub async fn wait(&self) -> Option<i32> {
        tokio::task::yield_now().await;
        todo!()
    }
}
