//! Archives on their way between a thread that may block and a client that may be slow.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Buf as _, Bytes};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::error::FilesError;
use super::places::{Place, on_a_thread};
use super::view::View;

/// Bytes in one chunk: large enough that passing it on costs little beside filling it.
pub(super) const CHUNK: usize = 512 * 1024;

/// Chunks that wait for a slow client.
pub(super) const WAITING: usize = 3;

/// An archive that comes out of a container, in chunks.
#[derive(Debug)]
pub struct ArchiveChunks(mpsc::Receiver<Result<Bytes, FilesError>>);

/// One piece of an archive that goes into a container.
#[derive(Debug)]
pub enum ArchiveInput {
    /// Bytes of it.
    Data(Bytes),
    /// It is whole. Without this, the end of the pieces is an interruption.
    End,
}

/// Writes chunks for a client.
pub(super) struct ChunkWriter {
    buffer: Vec<u8>,
    sender: mpsc::Sender<Result<Bytes, FilesError>>,
    view: Arc<View>,
    place: Arc<Place>,
    stood_still: Arc<AtomicBool>,
    runtime: Handle,
}

/// Reads pieces from a client.
pub(super) struct InputReader {
    pieces: mpsc::Receiver<ArchiveInput>,
    current: Bytes,
    has_ended: bool,
    view: Arc<View>,
    place: Place,
    runtime: Handle,
}

// === impl ArchiveChunks ===

impl ArchiveChunks {
    /// Returns the next chunk; nothing at the end.
    ///
    /// # Errors
    /// When the archive cannot be finished.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FilesError> {
        self.0.recv().await.transpose()
    }
}

/// Lets a thread of its own write an archive of `view`; it ends when the client goes away.
pub(super) fn produce<F>(
    view: Arc<View>,
    place: Place,
    write: F,
) -> Result<ArchiveChunks, FilesError>
where
    F: FnOnce(&View, ChunkWriter) -> Result<(), FilesError> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(WAITING);
    let runtime = Handle::current();
    // Its end is told through the channel.
    let _running = on_a_thread(move || {
        let (place, stood_still) = (Arc::new(place), Arc::default());
        let writer = ChunkWriter {
            buffer: Vec::with_capacity(CHUNK),
            sender: sender.clone(),
            view: Arc::clone(&view),
            place: Arc::clone(&place),
            stood_still: Arc::clone(&stood_still),
            runtime: runtime.clone(),
        };
        let result = write(&view, writer);
        // Before the client learns of the end, so that what it does next finds nothing held.
        let is_ended = runtime.block_on(async { is_ready(view.ended()).await });
        drop((view, place));
        if let Err(error) = result {
            let error = if stood_still.load(Ordering::Relaxed) {
                FilesError::StoodStill
            } else if is_ended {
                FilesError::Ended
            } else {
                error
            };
            // The thread must not wait for the client here: should there be no room, the task does.
            runtime.spawn(async move {
                // A client that is gone needs no reason.
                let _ = sender.send(Err(error)).await;
            });
        }
    })?;
    Ok(ArchiveChunks(receiver))
}

/// Tells whether a future is done at once.
async fn is_ready(future: impl Future<Output = ()>) -> bool {
    tokio::select! {
        biased;
        // Nothing is lost: it is only asked for.
        () = future => true,
        () = std::future::ready(()) => false,
    }
}

// === impl ChunkWriter ===

impl ChunkWriter {
    /// Sends the bytes of a file without another copy. A file that became shorter ends in zeros, so
    /// that the archive stays whole.
    pub(super) fn copy(&mut self, file: &mut File, length: u64) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            let space = CHUNK - self.buffer.len();
            left -= berth_archive::read_padded(file, left.min(space as u64), &mut self.buffer)?;
            if self.buffer.len() >= CHUNK {
                self.send()?;
            }
        }
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        if chunk.is_empty() {
            return Ok(());
        }
        let sent = self.runtime.block_on(async {
            tokio::select! {
                biased;
                // Dropping the other ones loses a chunk of an archive that ends here anyway.
                () = self.view.ended() => false,
                sent = self.sender.send(Ok(chunk.into())) => sent.is_ok(),
                () = self.place.gives_way() => {
                    self.stood_still.store(true, Ordering::Relaxed);
                    false
                }
            }
        });
        if sent {
            Ok(())
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..n]);
        if self.buffer.len() >= CHUNK {
            self.send()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

// === impl InputReader ===

impl InputReader {
    pub(super) fn new(
        pieces: mpsc::Receiver<ArchiveInput>,
        view: Arc<View>,
        place: Place,
        runtime: Handle,
    ) -> Self {
        Self {
            pieces,
            current: Bytes::new(),
            has_ended: false,
            view,
            place,
            runtime,
        }
    }

    fn next(&mut self) -> io::Result<Bytes> {
        let pieces = &mut self.pieces;
        let next = self.runtime.block_on(async {
            tokio::select! {
                biased;
                // Dropping the other one loses nothing: an archive that ends here is not unpacked on.
                () = self.view.ended() => Err("the container was started again"),
                next = pieces.recv() => Ok(next),
                () = self.place.gives_way() => {
                    Err("nothing came for too long while others waited for their turn")
                }
            }
        });
        match next {
            Ok(Some(ArchiveInput::Data(bytes))) => Ok(bytes),
            Ok(Some(ArchiveInput::End)) => {
                self.has_ended = true;
                Ok(Bytes::new())
            }
            Ok(None) => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the client went away before the end",
            )),
            Err(reason) => Err(io::Error::other(reason)),
        }
    }
}

impl BufRead for InputReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() && !self.has_ended {
            self.current = self.next()?;
        }
        Ok(&self.current)
    }

    fn consume(&mut self, n: usize) {
        self.current.advance(n);
    }
}

impl Read for InputReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let n = available.len().min(into.len());
        into[..n].copy_from_slice(&available[..n]);
        self.consume(n);
        Ok(n)
    }
}
