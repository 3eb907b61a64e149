//! The agent's side of a connection to a supervisor.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use berth_agent_sys::descriptor;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;

use crate::protocol::{Frames, Reply, Request, frame};
use crate::socket;

/// A connection that speaks in frames.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    frames: Frames,
    descriptors: Vec<OwnedFd>,
}

impl Connection {
    pub(crate) fn new(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let stream = UnixStream::from_std(stream)?;
        Ok(Self {
            stream,
            frames: Frames::default(),
            descriptors: Vec::new(),
        })
    }

    /// Connects to the supervisor of a run directory and sends it a request.
    pub(crate) async fn request(
        run_dir: &Path,
        request: &Request,
        bytes: &[u8],
    ) -> io::Result<Self> {
        // Connecting to a unix socket waits for nothing but a full backlog.
        let mut connection = Self::new(socket::connect(run_dir)?)?;
        connection.send(&frame(request, bytes)?).await?;
        Ok(connection)
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Waits for the next message; `None` when the supervisor has closed the connection.
    ///
    /// # Cancel safety
    /// What has arrived when the future is dropped is kept.
    pub(crate) async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            if let Some((message, _)) = self.frames.take()? {
                return Ok(Some(message));
            }
            let mut buffer = [0; 8 * 1024];
            let stream = &self.stream;
            let receive = || descriptor::receive(stream, &mut buffer);
            let (length, descriptors) = match stream.async_io(Interest::READABLE, receive).await {
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => (0, Vec::new()),
                other => other?,
            };
            if length == 0 {
                return Ok(None);
            }
            self.descriptors.extend(descriptors);
            self.frames.push(buffer.get(..length).unwrap_or_default());
        }
    }

    /// Tells the supervisor that nothing more will be sent.
    pub(crate) async fn close_writing(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Takes the descriptors that came with messages so far.
    pub(crate) fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.descriptors)
    }

    /// Gives up the framing: the stream, and what has arrived of what is not framed.
    pub(crate) fn into_parts(self) -> (UnixStream, Vec<u8>) {
        (self.stream, self.frames.into_rest())
    }
}

/// Asks a supervisor for one thing.
pub(crate) async fn ask(run_dir: &Path, request: &Request) -> io::Result<Option<Reply>> {
    Connection::request(run_dir, request, b"")
        .await?
        .receive()
        .await
}

/// Returns whether an error means that there is no supervisor any more.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound};
    matches!(
        error.kind(),
        NotFound | ConnectionRefused | ConnectionReset | BrokenPipe
    )
}
