//! The two directions of a client that is attached to a container or to a command in one.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use tokio::io::{AsyncReadExt as _, AsyncWrite};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{oneshot, watch};

use crate::arrivals::Arrivals;
use crate::log::{Reader, Record, Stream};
use crate::running::Running;

/// How much is read at once.
const CHUNK: usize = 32 * 1024;

/// Both directions of an attached client.
#[derive(Debug)]
pub struct Attachment {
    /// What the process writes.
    pub output: Output,
    /// What goes to its standard input, when that was asked for.
    pub stdin: Option<Stdin>,
}

/// The output of a container or command, as records. Under a terminal all of it is standard output.
#[derive(Debug)]
pub struct Output {
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// Log records, sent by the supervisor. What it could not send any more is in the log.
    Supervisor {
        reader: OwnedReadHalf,
        arrived: Arrivals,
        running: Running,
        /// Open from the beginning, since the container may be removed as soon as it ends.
        log: Option<Reader>,
    },
    /// The rest of the log of a run that has ended; `limit` is where the next run's begins.
    Log {
        reader: Reader,
        limit: u64,
    },
    Command(CommandOutput),
    Nothing,
}

impl Output {
    pub(crate) fn empty() -> Self {
        Self {
            source: Source::Nothing,
        }
    }

    /// Returns the output of a run that has ended.
    pub(crate) async fn of_log(running: &Running, offset: u64) -> io::Result<Self> {
        let limit = running
            .wait()
            .await
            .map_or(u64::MAX, |record| record.log_length);
        let mut reader = Reader::open(running.bundle_dir()).map_err(io::Error::other)?;
        reader.seek(offset);
        Ok(Self {
            source: Source::Log { reader, limit },
        })
    }

    /// Returns the output of a run that has ended, from a log that was opened before.
    async fn of_open_log(running: &Running, mut reader: Reader, offset: u64) -> Self {
        let limit = running
            .wait()
            .await
            .map_or(u64::MAX, |record| record.log_length);
        reader.seek(offset);
        Self {
            source: Source::Log { reader, limit },
        }
    }

    pub(crate) fn of_supervisor(
        reader: OwnedReadHalf,
        first: Vec<u8>,
        offset: u64,
        running: Running,
    ) -> Self {
        Self {
            source: Source::Supervisor {
                reader,
                arrived: Arrivals::new(first, offset),
                log: Reader::open(running.bundle_dir()).ok(),
                running,
            },
        }
    }

    pub(crate) fn of_command(
        stdout: Option<OwnedFd>,
        stderr: Option<OwnedFd>,
        ended: watch::Receiver<Option<i32>>,
        being_read: oneshot::Sender<()>,
    ) -> io::Result<Self> {
        let register = |fd: Option<OwnedFd>| {
            // A terminal is no pipe, but is read and waited for as one.
            fd.map(|fd| Receiver::from_owned_fd_unchecked(nonblocking(fd)?))
                .transpose()
        };
        let source = CommandOutput {
            stdout: register(stdout)?,
            stderr: register(stderr)?,
            ended,
            _being_read: being_read,
        };
        Ok(Self {
            source: Source::Command(source),
        })
    }

    /// Waits for the next piece of output; `None` after the last.
    ///
    /// # Errors
    /// Fails when the connection to the supervisor breaks or the log cannot be read.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> io::Result<Option<Record>> {
        loop {
            match &mut self.source {
                Source::Nothing => return Ok(None),
                Source::Log { reader, limit } if reader.offset() >= *limit => return Ok(None),
                Source::Log { reader, .. } => {
                    return reader.next_record().map_err(io::Error::other);
                }
                Source::Command(output) => return output.next().await,
                Source::Supervisor {
                    reader,
                    arrived,
                    running,
                    log,
                } => {
                    if let Some(record) = arrived.take()? {
                        return Ok(Some(record));
                    }
                    // Reading is cancel-safe: either nothing was read or it is there for the next turn.
                    let length = match reader.read_buf(arrived.room()).await {
                        Err(e) if e.kind() == io::ErrorKind::ConnectionReset => 0,
                        other => other?,
                    };
                    if length == 0 {
                        // Whatever the supervisor had no time to send is in the log.
                        let offset = arrived.offset();
                        *self = match log.take() {
                            Some(log) => Self::of_open_log(running, log, offset).await,
                            None => Self::of_log(running, offset).await?,
                        };
                    }
                }
            }
        }
    }

    /// Waits for the next piece of output, together with what of the same stream has arrived directly after it; `None`
    /// after the last. For who does not look at times.
    ///
    /// # Errors
    /// As [`Self::next`].
    ///
    /// # Cancel safety
    /// As [`Self::next`].
    pub async fn next_pieces(&mut self) -> io::Result<Option<Record>> {
        let mut record = self.next().await?;
        if let (Some(record), Source::Supervisor { arrived, .. }) = (&mut record, &mut self.source)
        {
            arrived.take_more(record)?;
        }
        Ok(record)
    }

    /// Returns where in the log the next piece begins; nothing for what is in no log.
    pub fn offset(&self) -> Option<u64> {
        match &self.source {
            Source::Supervisor { arrived, .. } => Some(arrived.offset()),
            Source::Log { reader, .. } => Some(reader.offset()),
            Source::Command(_) | Source::Nothing => None,
        }
    }
}

/// The ends of a command's pipes or terminal.
#[derive(Debug)]
struct CommandOutput {
    stdout: Option<Receiver>,
    stderr: Option<Receiver>,
    ended: watch::Receiver<Option<i32>>,
    /// Dropping this tells the supervisor that nobody reads any more.
    _being_read: oneshot::Sender<()>,
}

impl CommandOutput {
    async fn next(&mut self) -> io::Result<Option<Record>> {
        while self.stdout.is_some() || self.stderr.is_some() {
            let has_ended = self.ended.borrow().is_some() || self.ended.has_changed().is_err();
            if has_ended {
                return Ok(self.take_rest());
            }
            let (mut out, mut err) = ([0; CHUNK / 2], [0; CHUNK / 2]);
            // Reading is cancel-safe, and the end of the command is seen again by the next turn.
            let (stream, result, data) = tokio::select! {
                result = read_or_wait(&mut self.stdout, &mut out) => (Stream::Stdout, result, &out),
                result = read_or_wait(&mut self.stderr, &mut err) => (Stream::Stderr, result, &err),
                _ = self.ended.changed() => continue,
            };
            match result {
                Ok(length) if length > 0 => {
                    let data = data.get(..length).unwrap_or_default().to_vec();
                    return Ok(Some(piece(stream, data)));
                }
                // The end, which for a terminal is an error.
                _ => self.close(stream),
            }
        }
        Ok(None)
    }

    /// Reads what is there after the command's end. A process that it left behind may keep the streams open for ever,
    /// so nothing to read is the end.
    fn take_rest(&mut self) -> Option<Record> {
        for (stream, receiver) in [
            (Stream::Stdout, &self.stdout),
            (Stream::Stderr, &self.stderr),
        ] {
            let Some(receiver) = receiver else { continue };
            let mut data = vec![0; CHUNK];
            // Past what the async runtime has noticed, since it may not have noticed yet.
            if let Ok(length @ 1..) = nix::unistd::read(receiver, &mut data) {
                data.truncate(length);
                return Some(piece(stream, data));
            }
        }
        self.close(Stream::Stdout);
        self.close(Stream::Stderr);
        None
    }

    fn close(&mut self, stream: Stream) {
        match stream {
            Stream::Stdout => self.stdout = None,
            Stream::Stderr => self.stderr = None,
        }
    }
}

/// Returns a piece of output that is in no log.
fn piece(stream: Stream, data: Vec<u8>) -> Record {
    Record {
        stream,
        time: SystemTime::now(),
        data,
        lost: 0,
        offset: 0,
        continues: false,
    }
}

async fn read_or_wait(receiver: &mut Option<Receiver>, buffer: &mut [u8]) -> io::Result<usize> {
    match receiver {
        Some(receiver) => receiver.read(buffer).await,
        None => std::future::pending().await,
    }
}

/// Standard input of a container or command; shutting it down closes it for the process.
#[derive(Debug)]
pub struct Stdin {
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Supervisor(OwnedWriteHalf),
    Pipe(Sender),
    /// A terminal has no end of input; closing it closes nothing.
    Terminal(Sender),
    Closed,
}

impl Stdin {
    pub(crate) fn of_supervisor(writer: OwnedWriteHalf) -> Self {
        Self {
            sink: Sink::Supervisor(writer),
        }
    }

    pub(crate) fn of_pipe(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            sink: Sink::Pipe(Sender::from_owned_fd_unchecked(nonblocking(fd)?)?),
        })
    }

    pub(crate) fn of_terminal(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            sink: Sink::Terminal(Sender::from_owned_fd_unchecked(nonblocking(fd)?)?),
        })
    }

    pub(crate) fn closed() -> Self {
        Self { sink: Sink::Closed }
    }
}

impl AsyncWrite for Stdin {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.sink {
            Sink::Supervisor(writer) => Pin::new(writer).poll_write(cx, data),
            Sink::Pipe(sender) | Sink::Terminal(sender) => Pin::new(sender).poll_write(cx, data),
            Sink::Closed => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is kept back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.sink {
            Sink::Supervisor(writer) => Pin::new(writer).poll_shutdown(cx),
            Sink::Pipe(_) => {
                self.sink = Sink::Closed;
                Poll::Ready(Ok(()))
            }
            Sink::Terminal(_) | Sink::Closed => Poll::Ready(Ok(())),
        }
    }
}

fn nonblocking(fd: OwnedFd) -> io::Result<OwnedFd> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
    fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(fd)
}
