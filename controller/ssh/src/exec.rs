//! Commands without a terminal.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::Session;

/// How a remote command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited.
    Code(u32),
    /// A signal ended it; the name has no `SIG`.
    Signal(String),
}

/// What a remote command printed, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

/// A remote command could not be run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The protocol failed.
    #[error("ssh channel failed")]
    Protocol(#[from] russh::Error),
    /// The host does not run commands (or does not forward) for this user.
    #[error("ssh server refused to {what}")]
    Refused {
        /// What was asked.
        what: String,
    },
    /// The connection ended before the command did.
    #[error("ssh connection was lost while a command ran")]
    Lost,
    /// A local stream failed.
    #[error("local stream of a remote command failed")]
    Local(#[source] std::io::Error),
}

impl ExitStatus {
    /// Returns whether the command exited with zero.
    #[must_use]
    pub fn success(&self) -> bool {
        *self == Self::Code(0)
    }

    /// Returns what a shell would call this status: the code, or 128 and the signal's number.
    #[must_use]
    pub fn code(&self) -> u8 {
        todo!()
    }
}

impl Session {
    /// Runs `command` with `stdin` as its whole input.
    ///
    /// # Errors
    ///
    /// When it cannot be run; a command that fails is an [`Output`].
    pub async fn exec(&self, command: &str, stdin: &[u8]) -> Result<Output, ExecError> {
        todo!("{command} {stdin:?}")
    }

    /// Opens a stream to the unix socket at `path` on the host.
    ///
    /// # Errors
    ///
    /// When the host refuses it.
    pub async fn open_unix(
        &self,
        path: &str,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static, ExecError> {
        let _unfinished: Option<tokio::io::DuplexStream> = todo!("{path}");
        #[expect(unreachable_code, reason = "skeleton")]
        _unfinished.ok_or(ExecError::Lost)
    }
}
