//! The two directions of a client that is attached to a container or to a command in one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use crate::log::Record;

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
pub struct Output {}

impl Output {
    /// Waits for the next piece of output; `None` after the last.
    ///
    /// # Errors
    /// Fails when the connection to the supervisor breaks.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> io::Result<Option<Record>> {
        tokio::task::yield_now().await;
        todo!()
    }
}

/// Standard input of a container or command; shutting it down closes it for the process.
#[derive(Debug)]
pub struct Stdin {}

impl AsyncWrite for Stdin {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, _buf: &[u8]) -> Poll<io::Result<usize>> {
        todo!()
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        todo!()
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        todo!()
    }
}
