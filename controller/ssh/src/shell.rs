//! Commands and shells whose streams are passed through as they come.

use std::fmt;

use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

use crate::{ExecError, ExitStatus, Session};

/// How much input is read at once; a few packets, so that uploads keep the line busy.
const INPUT_CHUNK: usize = 128 * 1024;

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

/// What is run on the host.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Program<'a> {
    /// The command; a login shell without one.
    pub(crate) command: Option<&'a str>,
    /// Whether the command is the name of a subsystem.
    pub(crate) subsystem: bool,
    /// Whether it may use the operator's agent.
    pub(crate) agent: bool,
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
        let program = Program {
            command,
            ..Program::default()
        };
        self.run_program(program, pty, streams).await
    }

    pub(crate) async fn run_program(
        &self,
        program: Program<'_>,
        pty: Option<Pty>,
        streams: Streams<'_>,
    ) -> Result<ExitStatus, ExecError> {
        let Streams {
            mut stdin,
            mut stdout,
            mut stderr,
        } = streams;
        let (mut reader, writer) = self.handle.channel_open_session().await?.split();
        request(&writer, program, pty.as_ref()).await?;

        // Input, window sizes and output go on at the same time: whichever waited for another
        // could stop the connection's own task, which serves all of them.
        let input = async {
            send_input(&mut stdin, &writer).await?;
            // With all input sent, there is nothing more to do here than to let output finish.
            std::future::pending::<Result<(), ExecError>>().await
        };
        let sizes = async {
            if let Some(pty) = pty {
                follow_size(pty.size, &writer).await;
            }
            std::future::pending::<()>().await;
        };
        let output = receive_output(&mut reader, &mut stdout, &mut stderr, program);
        let result = tokio::select! {
            // Each arm ends the whole: none is polled again after another has won.
            status = output => status,
            failure = input => failure.and(Err(ExecError::Lost)),
            () = sizes => Err(ExecError::Lost),
        };
        if result.is_err() {
            // Best effort: the connection may be what failed.
            let _ = writer.close().await;
        }
        result
    }
}

async fn request(
    writer: &ChannelWriteHalf<Msg>,
    program: Program<'_>,
    pty: Option<&Pty>,
) -> Result<(), ExecError> {
    if program.agent {
        writer.agent_forward(false).await?;
    }
    // No answer is waited for: refusals arrive among the output.
    if let Some(pty) = pty {
        let size = *pty.size.borrow();
        writer
            .request_pty(true, &pty.term, size.columns, size.rows, 0, 0, &[])
            .await?;
    }
    match program.command {
        Some(name) if program.subsystem => writer.request_subsystem(true, name).await?,
        Some(command) => writer.exec(true, command).await?,
        None => writer.request_shell(true).await?,
    }
    Ok(())
}

async fn send_input(
    stdin: &mut (dyn AsyncRead + Send + Unpin + '_),
    writer: &ChannelWriteHalf<Msg>,
) -> Result<(), ExecError> {
    let mut buffer = vec![0; INPUT_CHUNK];
    loop {
        match stdin.read(&mut buffer).await.map_err(ExecError::Local)? {
            0 => break,
            n_read => {
                let chunk = Bytes::copy_from_slice(&buffer[..n_read]);
                if writer.data_bytes(chunk).await.is_err() {
                    // The program has gone; how, the output side will tell.
                    return std::future::pending().await;
                }
            }
        }
    }
    // The same holds here.
    let _ = writer.eof().await;
    Ok(())
}

async fn follow_size(mut size: watch::Receiver<WindowSize>, writer: &ChannelWriteHalf<Msg>) {
    while size.changed().await.is_ok() {
        let now = *size.borrow_and_update();
        if writer
            .window_change(now.columns, now.rows, 0, 0)
            .await
            .is_err()
        {
            return;
        }
    }
}

async fn receive_output(
    reader: &mut ChannelReadHalf,
    stdout: &mut (dyn AsyncWrite + Send + Unpin + '_),
    stderr: &mut (dyn AsyncWrite + Send + Unpin + '_),
    program: Program<'_>,
) -> Result<ExitStatus, ExecError> {
    let mut status = None;
    while let Some(message) = reader.wait().await {
        match message {
            ChannelMsg::Data { data } => write(stdout, &data).await?,
            ChannelMsg::ExtendedData { data, ext: 1 } => write(stderr, &data).await?,
            ChannelMsg::ExitStatus { exit_status } => status = Some(ExitStatus::Code(exit_status)),
            ChannelMsg::ExitSignal { signal_name, .. } => {
                status = Some(ExitStatus::from_signal(signal_name));
            }
            ChannelMsg::Failure => {
                let what = match program.command {
                    Some(_) if program.subsystem => "start a subsystem",
                    Some(_) => "run a command",
                    None => "open a shell",
                };
                return Err(ExecError::Refused {
                    what: what.to_owned(),
                });
            }
            _ => {}
        }
    }
    status.ok_or(ExecError::Lost)
}

async fn write(
    stream: &mut (dyn AsyncWrite + Send + Unpin + '_),
    data: &[u8],
) -> Result<(), ExecError> {
    // Flushed at once: somebody may be looking at it.
    stream.write_all(data).await.map_err(ExecError::Local)?;
    stream.flush().await.map_err(ExecError::Local)
}
