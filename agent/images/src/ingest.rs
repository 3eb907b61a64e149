//! A layer on its way in: compared, kept and unpacked in one pass, on two threads.
//!
//! One thread takes what arrives, keeps it in a file, decompresses it and computes both digests;
//! the other unpacks. Nothing is read twice, except what an earlier, broken transfer left.

use std::fs::File;
use std::io::{self, BufRead, Read, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use berth_agent_snapshots::LayerId;
use berth_agent_sys::root_dir::RootDir;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::Receiver;

use crate::pipe::{PipeReader, PipeWriter, pipe};
use crate::unpack::{UnpackError, UnpackOptions, Unpacked, Whiteouts, apply_tar};
use crate::{Digest, StoreError, compression};

/// A piece of what arrives.
#[derive(Debug)]
pub(crate) enum Chunk {
    Data(Bytes),
    /// Everything has arrived. Without this, the end of the chunks is an interruption.
    End,
}

/// What came in.
#[derive(Debug)]
pub(crate) struct Ingested {
    /// Digest as it came.
    pub(crate) digest: Digest,
    /// Digest of the tar.
    pub(crate) diff_id: LayerId,
    pub(crate) unpacked: Unpacked,
}

/// The reasons why a layer does not come in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IngestError {
    /// It stopped arriving; what came is in the file.
    #[error("the transfer was interrupted")]
    Interrupted,
    /// What arrives cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be unpacked. The digest tells whether it is what it should be.
    #[error("the layer cannot be unpacked")]
    Unpack {
        digest: Option<Digest>,
        source: UnpackError,
    },
}

/// Takes a layer in: first what `file` holds already, then the chunks, which are appended to it.
///
/// Blocks until everything has arrived or something fails.
pub(crate) fn ingest(
    chunks: Receiver<Chunk>,
    file: (File, &Path),
    tree: &Path,
) -> Result<Ingested, IngestError> {
    let root = RootDir::open(tree).map_err(StoreError::content("open", tree))?;
    let mut source = Source::new(chunks, file);
    let stop = AtomicBool::new(false);
    let (writer, reader) = pipe();
    let (decoded, unpacked) = std::thread::scope(|scope| {
        let unpacker = scope.spawn(|| unpack(reader, &root, &stop));
        let decoded = decode(&mut source, writer, &stop);
        (decoded, unpacker.join())
    });
    let unpacked = unpacked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    if let Some(failure) = source.failure.take() {
        return Err(failure);
    }
    if let Err(source @ (UnpackError::DiskFull { .. } | UnpackError::Entry { .. })) = unpacked {
        return Err(IngestError::Unpack {
            digest: None,
            source,
        });
    }
    source.drain();
    if let Some(failure) = source.failure.take() {
        return Err(failure);
    }
    let digest = source.finish();
    let fail = |source| IngestError::Unpack {
        digest: Some(digest.clone()),
        source,
    };
    let diff_id = decoded.map_err(|source| fail(UnpackError::Read { source }))?;
    let unpacked = unpacked.map_err(fail)?;
    Ok(Ingested {
        digest,
        diff_id,
        unpacked,
    })
}

fn unpack(reader: PipeReader, root: &RootDir, stop: &AtomicBool) -> Result<Unpacked, UnpackError> {
    let options = UnpackOptions {
        whiteouts: Whiteouts::Overlay,
        owner: None,
        ..UnpackOptions::default()
    };
    let result = apply_tar(reader, root, &options);
    // The archive's own faults are reported only if its digest is right, so it must all be seen;
    // a fault of this machine is not going to get better.
    if let Err(UnpackError::DiskFull { .. } | UnpackError::Entry { .. }) = result {
        stop.store(true, Ordering::Release);
    }
    result
}

/// Decompresses into the pipe and returns the digest of what came out.
fn decode(
    source: &mut Source<'_>,
    mut writer: PipeWriter,
    stop: &AtomicBool,
) -> io::Result<LayerId> {
    let mut reader = compression::decompress(source)?;
    let mut sum = Sha256::new();
    let mut has_reader = true;
    while !stop.load(Ordering::Acquire) {
        let space = writer.space();
        let n = match reader.read(space) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        };
        sum.update(&space[..n]);
        // The unpacker stops at the archive's end mark; what follows counts for the digest.
        has_reader = has_reader && writer.send(n);
    }
    Ok(LayerId::from_sha256(&sum.finalize().into()))
}

/// What arrives, as a reader that keeps and sums everything that passes.
struct Source<'a> {
    chunks: Receiver<Chunk>,
    file: File,
    path: &'a Path,
    /// Whether the file is still being read from the beginning.
    replaying: bool,
    current: Bytes,
    sum: Sha256,
    ended: bool,
    failure: Option<IngestError>,
}

/// How much of an earlier transfer is read at a time.
const REPLAY: usize = 256 * 1024;

impl<'a> Source<'a> {
    fn new(chunks: Receiver<Chunk>, (file, path): (File, &'a Path)) -> Self {
        Self {
            chunks,
            file,
            path,
            replaying: true,
            current: Bytes::new(),
            sum: Sha256::new(),
            ended: false,
            failure: None,
        }
    }

    /// Gets the next chunk; an empty one is the end.
    fn next(&mut self) -> Result<Bytes, IngestError> {
        if self.ended {
            return Ok(Bytes::new());
        }
        if self.replaying {
            let mut chunk = Vec::with_capacity(REPLAY);
            (&self.file)
                .take(REPLAY as u64)
                .read_to_end(&mut chunk)
                .map_err(StoreError::content("read", self.path))?;
            if !chunk.is_empty() {
                return Ok(chunk.into());
            }
            self.replaying = false;
        }
        loop {
            match self.chunks.blocking_recv() {
                Some(Chunk::Data(chunk)) if chunk.is_empty() => {}
                Some(Chunk::Data(chunk)) => {
                    self.file
                        .write_all(&chunk)
                        .map_err(StoreError::content("write", self.path))?;
                    return Ok(chunk);
                }
                Some(Chunk::End) => {
                    self.ended = true;
                    return Ok(Bytes::new());
                }
                None => return Err(IngestError::Interrupted),
            }
        }
    }

    /// Takes the rest, which nobody decompresses, for the sake of the digest.
    fn drain(&mut self) {
        while let Ok(rest) = self.fill_buf() {
            let n = rest.len();
            if n == 0 {
                return;
            }
            self.consume(n);
        }
    }

    fn finish(self) -> Digest {
        Digest::from_sha256(self.sum.finalize().into())
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.is_empty() {
            match self.next() {
                Ok(chunk) => {
                    self.sum.update(&chunk);
                    self.current = chunk;
                }
                Err(failure) => {
                    self.failure = Some(failure);
                    return Err(io::Error::other("the transfer failed"));
                }
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, n: usize) {
        bytes::Buf::advance(&mut self.current, n);
    }
}

impl Read for Source<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let n = available.len().min(into.len());
        into[..n].copy_from_slice(&available[..n]);
        self.consume(n);
        Ok(n)
    }
}
