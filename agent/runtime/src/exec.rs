//! A command that runs inside a container beside its first process.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use berth_agent_sys::terminal::set_size;
use tokio::sync::{oneshot, watch};

use crate::attachment::{Attachment, Output, Stdin};
use crate::connection::Connection;
use crate::error::ControlError;
use crate::protocol::{ExecStream, Reply, Request};
use crate::request::TerminalSize;
use crate::running::control;

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
pub struct ExecHandle {
    shared: Arc<Shared>,
    ended: watch::Receiver<Option<i32>>,
}

#[derive(Debug)]
struct Shared {
    /// Of the container.
    id: String,
    run_dir: PathBuf,
    pid: i32,
    warnings: Vec<String>,
    terminal: Option<OwnedFd>,
}

impl ExecProcess {
    /// Takes over the streams that the supervisor sent, and a connection on which it will tell the end.
    pub(crate) fn new(
        (id, run_dir): (String, PathBuf),
        pid: i32,
        warnings: Vec<String>,
        streams: &[ExecStream],
        attach: bool,
        mut connection: Connection,
    ) -> io::Result<Self> {
        let (sender, ended) = watch::channel(None);
        let (mut stdout, mut stderr, mut stdin, mut terminal) = (None, None, None, None);
        for (kind, fd) in streams.iter().zip(connection.take_descriptors()) {
            match kind {
                ExecStream::Stdin => stdin = Some(Stdin::of_pipe(fd)?),
                ExecStream::Stdout => stdout = Some(fd),
                ExecStream::Stderr => stderr = Some(fd),
                ExecStream::Terminal => {
                    stdin = Some(Stdin::of_terminal(fd.try_clone()?)?);
                    stdout = Some(fd.try_clone()?);
                    terminal = Some(fd);
                }
            }
        }
        let (being_read, left_alone) = oneshot::channel();
        tokio::spawn(follow(connection, sender, left_alone));
        let output = Output::of_command(stdout, stderr, ended.clone(), being_read)?;
        let attachment = attach.then_some(Attachment { output, stdin });
        let shared = Arc::new(Shared {
            id,
            run_dir,
            pid,
            warnings,
            terminal,
        });
        Ok(Self {
            attachment,
            handle: ExecHandle { shared, ended },
        })
    }
}

/// Tells the supervisor when nobody reads the command's output any more, so that it does not wait for ever to be read,
/// and waits for the command's end.
async fn follow(
    mut connection: Connection,
    sender: watch::Sender<Option<i32>>,
    mut left_alone: oneshot::Receiver<()>,
) {
    // Receiving is cancel-safe, and the other arm is taken at most once.
    let reply = tokio::select! {
        reply = connection.receive() => reply,
        _dropped = &mut left_alone => match connection.close_writing().await {
            Ok(()) => connection.receive().await,
            Err(e) => Err(e),
        },
    };
    if let Ok(Some(Reply::ExecExited { code })) = reply {
        sender.send_replace(Some(code));
    }
    // Otherwise the supervisor is gone, and dropping the sender says so.
}

impl ExecHandle {
    /// Returns the command's process id, as the agent sees it.
    pub fn pid(&self) -> i32 {
        self.shared.pid
    }

    /// Returns what could not be done as asked, though the command runs.
    pub fn warnings(&self) -> &[String] {
        &self.shared.warnings
    }

    /// Sets the size of the command's terminal.
    ///
    /// # Errors
    /// Fails when the command has ended or has no terminal.
    #[expect(
        clippy::unused_async,
        reason = "sizes of containers are set the same way, and that waits"
    )]
    pub async fn resize(&self, size: TerminalSize) -> Result<(), ControlError> {
        let id = self.shared.id.clone();
        match &self.shared.terminal {
            Some(terminal) => set_size(terminal, size.rows, size.cols)
                .map_err(|source| ControlError::Supervisor { id, source }),
            None => Err(ControlError::Refused {
                id,
                message: "the command has no terminal".to_owned(),
            }),
        }
    }

    /// Sends a signal to the command.
    ///
    /// # Errors
    /// Fails when the command has ended or the signal's number is none.
    pub async fn signal(&self, signal: i32) -> Result<(), ControlError> {
        let request = Request::SignalExec {
            pid: self.shared.pid,
            number: signal,
        };
        control(&self.shared.id, &self.shared.run_dir, &request).await
    }

    /// Waits for the command's end and returns its exit code as shells count it; `None` when the container's supervisor
    /// was killed.
    ///
    /// # Cancel safety
    /// May be dropped and called again at any time, from any number of clones.
    pub async fn wait(&self) -> Option<i32> {
        let mut ended = self.ended.clone();
        let code = ended.wait_for(Option::is_some).await;
        code.ok().and_then(|code| *code)
    }
}
