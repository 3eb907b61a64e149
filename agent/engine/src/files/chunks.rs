//! Archives on their way between a thread that may block and a client that may be slow.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf as _, Bytes};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

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
    cut_off: CutOff,
    runtime: Handle,
}

/// Why an archive on its way in was cut off, when it was not the client's doing.
pub(super) type CutOff = Arc<Mutex<Option<FilesError>>>;

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

/// Lets a thread of its own write an archive; it ends when the client goes away. `begin` opens what goes
/// into it, says what the client is to know at once, and returns what writes it.
pub(super) async fn produce<T, W>(
    place: Place,
    begin: impl FnOnce() -> Result<(View, T, W), FilesError> + Send + 'static,
) -> Result<(T, ArchiveChunks), FilesError>
where
    T: Send + 'static,
    W: FnOnce(&View, ChunkWriter) -> Result<(), FilesError>,
{
    let (sender, receiver) = mpsc::channel(WAITING);
    let (tell, begun) = oneshot::channel();
    // Its end is told through the channel.
    let _running = on_a_thread(move || {
        // The place is taken for as long as the file system takes to answer.
        let (view, told, write) = match begin() {
            Ok(begun) => begun,
            Err(error) => {
                drop(place);
                drop(tell.send(Err(error)));
                return;
            }
        };
        if tell.send(Ok(told)).is_ok() {
            write_all(view, place, sender, write);
        }
    })?;
    // It tells, unless it panics.
    let told = begun.await.map_err(|_panicked| FilesError::Panicked)??;
    Ok((told, ArchiveChunks(receiver)))
}

/// Writes an archive and tells how that ended.
fn write_all(
    view: View,
    place: Place,
    sender: mpsc::Sender<Result<Bytes, FilesError>>,
    write: impl FnOnce(&View, ChunkWriter) -> Result<(), FilesError>,
) {
    let runtime = Handle::current();
    let (view, place, stood_still) = (Arc::new(view), Arc::new(place), Arc::default());
    let writer = ChunkWriter {
        buffer: Vec::with_capacity(CHUNK),
        sender: sender.clone(),
        view: Arc::clone(&view),
        place: Arc::clone(&place),
        stood_still: Arc::clone(&stood_still),
        runtime: runtime.clone(),
    };
    let result = catch_unwind(AssertUnwindSafe(|| write(&view, writer)));
    // The end of the chunks alone would say that the archive is whole.
    let result = result.unwrap_or(Err(FilesError::Panicked));
    // Before the client learns of the end, so that what it does next finds nothing held.
    let is_ended = runtime.block_on(async { is_ready(view.ended()).await });
    drop((view, place));
    let Err(error) = result else {
        return;
    };
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
        cut_off: CutOff,
    ) -> Self {
        Self {
            pieces,
            current: Bytes::new(),
            has_ended: false,
            view,
            place,
            cut_off,
            runtime: Handle::current(),
        }
    }

    fn next(&mut self) -> io::Result<Bytes> {
        let pieces = &mut self.pieces;
        let next = self.runtime.block_on(async {
            tokio::select! {
                biased;
                // Dropping the other one loses nothing: an archive that ends here is not unpacked on.
                () = self.view.ended() => Err(FilesError::Ended),
                next = pieces.recv() => Ok(next),
                () = self.place.gives_way() => Err(FilesError::StoodStill),
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
            Err(reason) => {
                let error = io::Error::other(reason.to_string());
                *self.cut_off.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
                Err(error)
            }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::files::places::Copies;

    #[tokio::test]
    async fn an_archive_whose_writer_panics_is_not_whole() {
        let folder = tempfile::tempdir().expect("folder");
        let view = View::of_folder(folder.path()).await;
        let place = Copies::default().place().await;
        let begin = move || {
            let write = |_: &View, mut writer: ChunkWriter| {
                writer.write_all(b"half of it").expect("room");
                writer.flush().expect("a listener");
                panic!("a mistake")
            };
            Ok((view, (), write))
        };
        let ((), mut chunks) = produce(place, begin).await.expect("begun");
        let first = chunks.next().await.expect("no error").expect("a chunk");
        assert_eq!(first, &b"half of it"[..]);
        chunks.next().await.expect_err("cut");
    }

    #[tokio::test]
    async fn clients_that_let_copies_stand_still_learn_why_they_end() {
        let folder = tempfile::tempdir().expect("folder");
        let copies = Arc::new(Copies::new(2, Duration::from_millis(5)));
        let view = View::of_folder(folder.path()).await;
        let begin = move || {
            let write = |_: &View, mut writer: ChunkWriter| {
                let piece = vec![0; CHUNK];
                for _ in 0..WAITING + 2 {
                    writer
                        .write_all(&piece)
                        .map_err(|e| FilesError::read("", e))?;
                }
                Ok(())
            };
            Ok((view, (), write))
        };
        let ((), mut chunks) = produce(copies.place().await, begin).await.expect("begun");
        let (_sender, pieces) = mpsc::channel(1);
        let view = Arc::new(View::of_folder(folder.path()).await);
        let (place, cut_off) = (copies.place().await, CutOff::default());
        let told = Arc::clone(&cut_off);
        let reading = on_a_thread(move || InputReader::new(pieces, view, place, told).next());
        // Two that wait for their turn.
        let (one, other) = tokio::join!(copies.place(), copies.place());
        reading.expect("thread").await.expect_err("cut off");
        let reason = cut_off.lock().expect("lock").take();
        assert!(matches!(reason, Some(FilesError::StoodStill)), "{reason:?}");
        drop((one, other));
        let error = loop {
            match chunks.next().await {
                Ok(chunk) => assert!(chunk.is_some(), "as if it were whole"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, FilesError::StoodStill), "{error:?}");
    }
}
