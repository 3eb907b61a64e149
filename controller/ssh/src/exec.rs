//! Commands without a terminal, and streams through the host.

use russh::Sig;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Session, Streams};

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
    /// The host does not do this for this user.
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
        match self {
            // Exit codes have eight bits on every host that speaks this protocol.
            Self::Code(code) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
            Self::Signal(name) => 128 + signal_number(name),
        }
    }

    pub(crate) fn from_signal(signal: Sig) -> Self {
        Self::Signal(match signal {
            Sig::ABRT => "ABRT".to_owned(),
            Sig::ALRM => "ALRM".to_owned(),
            Sig::FPE => "FPE".to_owned(),
            Sig::HUP => "HUP".to_owned(),
            Sig::ILL => "ILL".to_owned(),
            Sig::INT => "INT".to_owned(),
            Sig::KILL => "KILL".to_owned(),
            Sig::PIPE => "PIPE".to_owned(),
            Sig::QUIT => "QUIT".to_owned(),
            Sig::SEGV => "SEGV".to_owned(),
            Sig::TERM => "TERM".to_owned(),
            Sig::USR1 => "USR1".to_owned(),
            Sig::Custom(name) => name,
        })
    }
}

/// Returns the number of a signal on Linux; 0 for one that the protocol has no name for.
fn signal_number(name: &str) -> u8 {
    match name {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "ILL" => 4,
        "ABRT" => 6,
        "FPE" => 8,
        "KILL" => 9,
        "USR1" => 10,
        "SEGV" => 11,
        "USR2" => 12,
        "PIPE" => 13,
        "ALRM" => 14,
        "TERM" => 15,
        _ => 0,
    }
}

impl Session {
    /// Runs `command` with `stdin` as its whole input.
    ///
    /// # Errors
    ///
    /// When it cannot be run; a command that fails is an [`Output`].
    pub async fn exec(&self, command: &str, stdin: &[u8]) -> Result<Output, ExecError> {
        self.exec_reading(command, stdin).await
    }

    /// Runs `command` with what `stdin` gives until its end as input.
    ///
    /// # Errors
    ///
    /// When it cannot be run or `stdin` fails; a command that fails is an [`Output`].
    pub async fn exec_reading(
        &self,
        command: &str,
        stdin: impl AsyncRead + Send + Unpin,
    ) -> Result<Output, ExecError> {
        let mut stdout = Vec::new();
        let mut stderr = Vec::new();
        let streams = Streams {
            stdin: Box::new(stdin),
            stdout: Box::new(&mut stdout),
            stderr: Box::new(&mut stderr),
        };
        let status = self.run(Some(command), None, streams).await?;
        Ok(Output {
            status,
            stdout,
            stderr,
        })
    }

    /// Starts `command` and returns its standard input and output as a stream; what it prints on
    /// its standard error is not read.
    ///
    /// The stream keeps the connection alive after the session is dropped.
    ///
    /// # Errors
    ///
    /// When it cannot be started. That it fails is seen by the end of the stream.
    pub async fn open_command(
        &self,
        command: &str,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + use<>, ExecError> {
        let channel = self.handle.channel_open_session().await?;
        channel.exec(true, command).await?;
        Ok(channel.into_stream())
    }

    /// Opens a stream to the unix socket at `path` on the host.
    ///
    /// The stream keeps the connection alive after the session is dropped.
    ///
    /// # Errors
    ///
    /// When the host refuses it: forwarding is off, or the user may not open the socket.
    pub async fn open_unix(
        &self,
        path: &str,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static, ExecError> {
        let channel = self.handle.channel_open_direct_streamlocal(path).await;
        Ok(channel
            .map_err(|error| refusal(error, || format!("open socket {path}")))?
            .into_stream())
    }

    /// Opens a stream to a TCP port as the host sees it.
    ///
    /// The stream keeps the connection alive after the session is dropped.
    ///
    /// # Errors
    ///
    /// When the host refuses it: forwarding is off, or nothing listens there.
    pub async fn open_tcp(
        &self,
        host: &str,
        port: u16,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static, ExecError> {
        let channel = self
            .handle
            .channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0)
            .await;
        let stream = channel.map_err(|error| refusal(error, || format!("open {host}:{port}")))?;
        Ok(stream.into_stream())
    }
}

fn refusal(error: russh::Error, what: impl FnOnce() -> String) -> ExecError {
    match error {
        russh::Error::ChannelOpenFailure(_) => ExecError::Refused { what: what() },
        other => ExecError::Protocol(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_become_what_a_shell_says() {
        assert_eq!(ExitStatus::Code(3).code(), 3);
        assert_eq!(ExitStatus::Code(256 + 7).code(), 7);
        assert_eq!(ExitStatus::from_signal(Sig::KILL).code(), 137);
        assert_eq!(
            ExitStatus::from_signal(Sig::Custom("USR2".to_owned())).code(),
            140
        );
        assert!(!ExitStatus::Signal("TERM".to_owned()).success());
    }
}
