//! Commands and shells whose streams are passed through as they come.

use std::fmt;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::{ExecError, ExitStatus, Session};

/// Size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSize {
    /// Columns.
    pub columns: u32,
    /// Rows.
    pub rows: u32,
}

/// A terminal for a remote program.
#[derive(Clone, Debug)]
pub struct Pty {
    /// The terminal's kind, as `$TERM`.
    pub term: String,
    /// Its size, now and whenever it changes.
    pub size: watch::Receiver<WindowSize>,
}

/// The local ends of a remote program's streams.
pub struct Streams<'a> {
    /// Its input; at its end the remote end is closed.
    pub stdin: Box<dyn AsyncRead + Send + Unpin + 'a>,
    /// Its output.
    pub stdout: Box<dyn AsyncWrite + Send + Unpin + 'a>,
    /// Its errors; unused with a terminal.
    pub stderr: Box<dyn AsyncWrite + Send + Unpin + 'a>,
}

impl fmt::Debug for Streams<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Streams").finish_non_exhaustive()
    }
}

impl Session {
    /// Runs `command`, or a login shell without one, with its streams passed through; returns
    /// when the remote program has ended and all of its output is written.
    ///
    /// The local terminal is the caller's: it puts it in raw mode before and back afterwards.
    ///
    /// # Errors
    ///
    /// When it cannot be run, the connection is lost, or a local stream fails.
    pub async fn run(
        &self,
        command: Option<&str>,
        pty: Option<Pty>,
        streams: Streams<'_>,
    ) -> Result<ExitStatus, ExecError> {
        todo!("{command:?} {pty:?} {streams:?}")
    }
}
