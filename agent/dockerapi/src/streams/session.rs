//! A process and a client over a connection: two tasks, so that a process that does not read its
//! input can still be heard.

use std::io;
use std::pin::Pin;

use berth_agent_engine::{InputFlow, Session, SessionEvent, SessionInput, SessionOutput};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::io::ReadHalf;
use tokio::io::WriteHalf;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, SimplexStream, simplex};
use tokio_util::task::AbortOnDropHandle;

use crate::streams::frame::Framing;
use crate::streams::hijack::{Reader, Writer};

/// Bytes of a client's that are read at a time.
const PIECE: usize = 32 * 1024;
/// Bytes that wait between a session and a body.
const PIPE: usize = 64 * 1024;

/// Something to be waited for before the client is told that all is over.
pub(crate) type Afterwards = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a client is told over a connection.
pub(crate) enum Talk {
    /// What a process writes.
    Session(Box<SessionStream>),
    /// Only these bytes.
    Words(Vec<u8>),
    /// These pieces; an error ends them.
    Pieces(Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>),
    /// What is found out once the client has the answer's head.
    Later(Pin<Box<dyn Future<Output = Self> + Send>>),
}

/// A session that is to be connected with a client.
pub(crate) struct SessionStream {
    session: Session,
    framing: Framing,
    afterwards: Option<Afterwards>,
}

/// Returns the ends of a pipe: what is written to, and what is read from.
pub(crate) fn pipe() -> (WriteHalf<SimplexStream>, ReadHalf<SimplexStream>) {
    let (reader, writer) = simplex(PIPE);
    (writer, reader)
}

impl Talk {
    /// Talks until there is nothing more to tell.
    pub(crate) async fn run(self, reader: impl Reader, mut writer: impl Writer) {
        let mut talk = self;
        while let Self::Later(later) = talk {
            talk = later.await;
        }
        match talk {
            Self::Later(_) => {}
            Self::Session(session) => session.run(reader, writer).await,
            Self::Words(words) => {
                // A client that is gone does not mind.
                let _ = writer.write_all(&words).await;
                let _ = writer.shutdown().await;
            }
            Self::Pieces(mut pieces) => {
                while let Some(Ok(piece)) = pieces.next().await {
                    if writer.write_all(&piece).await.is_err() {
                        return;
                    }
                }
                let _ = writer.shutdown().await;
            }
        }
    }
}

impl SessionStream {
    pub(crate) fn new(session: Session, framing: Framing) -> Self {
        Self {
            session,
            framing,
            afterwards: None,
        }
    }

    /// Has the connection end only after something else, once the process has ended.
    pub(crate) fn ending_after(mut self, afterwards: Afterwards) -> Self {
        self.afterwards = Some(afterwards);
        self
    }

    /// Passes bytes on until the process ends, or the client detaches or is gone.
    async fn run(self, reader: impl Reader, mut writer: impl Writer) {
        let Session { input, output, .. } = self.session;
        let (detach, detached) = tokio::sync::oneshot::channel::<()>();
        let typing = tokio::spawn(async move {
            if type_in(reader, input).await == Typing::Detached {
                // Without a receiver it is over anyway.
                let _ = detach.send(());
            } else {
                // The client may still listen.
                std::future::pending::<()>().await;
            }
        });
        let typing = AbortOnDropHandle::new(typing);
        let has_ended = tokio::select! {
            // Nothing is lost: the other branch ends the connection.
            has_ended = pass_on(output, self.framing, &mut writer) => has_ended,
            _ = detached => false,
        };
        drop(typing);
        if let (true, Some(afterwards)) = (has_ended, self.afterwards) {
            afterwards.await;
        }
        // A client that is gone does not mind.
        let _ = writer.shutdown().await;
    }
}

/// How a client's input ends.
#[derive(PartialEq, Eq)]
enum Typing {
    Over,
    Detached,
}

async fn type_in(mut reader: impl Reader, mut input: SessionInput) -> Typing {
    let mut piece = vec![0; PIECE];
    loop {
        match reader.read(&mut piece).await {
            // A client that was cut off has no more to type either.
            Ok(0) | Err(_) => {
                input.close().await;
                return Typing::Over;
            }
            Ok(n) => {
                if input.write(&piece[..n]).await == InputFlow::Detached {
                    return Typing::Detached;
                }
            }
        }
    }
}

/// Sends output until the process ends; false when the client is gone before.
async fn pass_on(mut output: SessionOutput, framing: Framing, writer: &mut impl Writer) -> bool {
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match output.next().await {
            Ok(SessionEvent::Output { stream, data }) => framing.write(stream, &data, &mut bytes),
            // The API has no way to say that.
            Ok(SessionEvent::Lost(lost)) => tracing::info!(lost, "output lost for a slow client"),
            Ok(SessionEvent::Exited(_exit)) => return true,
            Err(error) => {
                tracing::warn!(error = %error, "output not read");
                return false;
            }
        }
        let written = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        if written.await.is_err() {
            return false;
        }
    }
}
