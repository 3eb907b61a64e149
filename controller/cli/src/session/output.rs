//! What a process writes, on its way to standard output and standard error.

use berth_proto::v1::StreamKind;
use tokio::io::{AsyncWriteExt as _, Stderr, Stdout};
use tonic::Streaming;

use super::{End, Incoming, Message};
use crate::failure::Failure;

/// The two streams of this command, used from asynchronous code.
#[derive(Debug)]
pub(crate) struct Writers {
    stdout: Stdout,
    stderr: Stderr,
}

// === impl Writers ===

impl Writers {
    pub(crate) fn new() -> Self {
        Self {
            stdout: tokio::io::stdout(),
            stderr: tokio::io::stderr(),
        }
    }

    /// Writes to the stream that is meant, at once.
    pub(crate) async fn write(&mut self, stream: StreamKind, data: &[u8]) -> std::io::Result<()> {
        if stream == StreamKind::Stderr {
            self.stderr.write_all(data).await?;
            return self.stderr.flush().await;
        }
        self.stdout.write_all(data).await?;
        self.stdout.flush().await
    }
}

/// Shows output until the process has ended or is left.
pub(crate) async fn show<R: Incoming>(mut incoming: Streaming<R>) -> Result<End, Failure> {
    let mut writers = Writers::new();
    while let Some(response) = incoming.message().await? {
        match response.message() {
            Some(Message::Output(output)) => {
                if output.lost_bytes > 0 {
                    let lost = output.lost_bytes;
                    crate::ui::warn(&format!("{lost} bytes of output are missing here"));
                }
                writers.write(output.stream(), &output.data).await?;
            }
            Some(Message::Exited(code)) => return Ok(End::Exited(exit_code(code))),
            Some(Message::Detached) => return Ok(End::Detached),
            // Messages of a newer agent are none of our business.
            Some(Message::Ready) | None => {}
        }
    }
    Err(
        Failure::new("the agent ended the conversation before the process did")
            .hint("the container may still run: `berth ps`, `berth attach`")
            .exit(crate::failure::ENGINE_ERROR),
    )
}

/// The code as an exit status of this command.
pub(crate) fn exit_code(code: i32) -> u8 {
    u8::try_from(code & 0xff).unwrap_or(1)
}
