//! Archives of images on their way to and from clients.
//!
//! A client may take as long as it likes, so each transfer has a thread of its own instead of one of
//! those that all other calls share; how many there are is bounded.

use std::io::{self, Read, Write};
use std::sync::Arc;

use berth_agent_images::{LoadError, Loaded, SaveError, Saving};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::Engine;

/// Transfers at the same time; more wait for their turn.
pub(crate) const TRANSFERS: usize = 16;

/// Bytes in one chunk.
const CHUNK: usize = 512 * 1024;

/// Chunks that wait for a slow client.
const WAITING: usize = 3;

/// An archive of images, in chunks.
#[derive(Debug)]
pub struct ImageChunks(mpsc::Receiver<Result<Bytes, SaveError>>);

impl ImageChunks {
    /// Returns the next chunk; nothing at the end.
    ///
    /// # Errors
    /// When the archive cannot be finished.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Bytes>, SaveError> {
        self.0.recv().await.transpose()
    }
}

impl Engine {
    /// Returns an archive of images, meant by names and ids.
    ///
    /// # Errors
    /// When there is no image of a name. What fails later ends the archive.
    pub async fn save_images(
        self: &Arc<Self>,
        names: Vec<String>,
    ) -> Result<ImageChunks, SaveError> {
        let images = Arc::clone(&self.images);
        let work = tokio::task::spawn_blocking(move || images.begin_save(&names));
        let saving = crate::task::outcome(work).await?;
        for id in saving.ids() {
            self.image_event("save", id.as_str(), id.as_str());
        }
        let permit = self.transfer().await;
        let (sender, receiver) = mpsc::channel(WAITING);
        let thread = std::thread::Builder::new().name("save".to_owned());
        thread
            .spawn(move || {
                write(&saving, sender);
                drop((saving, permit));
            })
            .map_err(SaveError::Write)?;
        Ok(ImageChunks(receiver))
    }

    /// Takes all images of an archive in: Docker's or an OCI layout, of any compression.
    ///
    /// # Errors
    /// When the archive cannot be read, is malformed or lies about its content, or when the disk is full;
    /// there is nothing of it then.
    ///
    /// # Cancel safety
    /// Loading goes on when the future is dropped, until the reader fails or ends.
    pub async fn load_images(
        self: &Arc<Self>,
        reader: Box<dyn Read + Send>,
    ) -> Result<Vec<Loaded>, LoadError> {
        let permit = self.transfer().await;
        let images = Arc::clone(&self.images);
        let (sender, receiver) = oneshot::channel();
        let thread = std::thread::Builder::new().name("load".to_owned());
        thread
            .spawn(move || {
                let result = images.load(reader);
                drop(permit);
                // Nobody may wait for it any more.
                let _ = sender.send(result);
            })
            .map_err(LoadError::Read)?;
        let ended = |_gone| LoadError::Read(io::Error::other("loading was cut off"));
        let loaded = receiver.await.map_err(ended)??;
        for image in &loaded {
            self.image_event("load", image.id.as_str(), image.id.as_str());
        }
        Ok(loaded)
    }

    async fn transfer(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.transfers).acquire_owned().await.ok()
    }
}

fn write(saving: &Saving, sender: mpsc::Sender<Result<Bytes, SaveError>>) {
    let writer = ChunkWriter {
        buffer: Vec::with_capacity(CHUNK),
        sender: sender.clone(),
    };
    if let Err(error) = saving.write(writer) {
        // A client that is gone needs no reason.
        let _ = sender.blocking_send(Err(error));
    }
}

struct ChunkWriter {
    buffer: Vec<u8>,
    sender: mpsc::Sender<Result<Bytes, SaveError>>,
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..n]);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        if chunk.is_empty() {
            return Ok(());
        }
        self.sender
            .blocking_send(Ok(chunk.into()))
            .map_err(|_gone| io::ErrorKind::BrokenPipe.into())
    }
}
