//! Getting one layer.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_agent_snapshots::{LayerId, Staging};
use tokio::sync::OwnedMutexGuard;
use tokio::sync::mpsc::{Receiver, channel};
use tokio_util::sync::CancellationToken;

use super::PullError;
use crate::content::remove_if_there;
use crate::images::{Inner, blocking};
use crate::ingest::{Chunk, IngestError, Ingested, ingest};
use crate::leases::Lease;
use crate::progress::{LayerPhase, LayerProgress};
use crate::records::{BlobRecord, LayerRecord};
use crate::registry::{Descriptor, Download, RegistryError, Session};
use crate::{Digest, StoreError};

/// How many pieces may wait between the network and the decompressor.
const WAITING: usize = 4;

/// One layer of a pull.
pub(super) struct LayerPull<'a> {
    pub(super) inner: &'a Arc<Inner>,
    pub(super) session: &'a Session,
    pub(super) blob: &'a Descriptor,
    pub(super) layer: &'a LayerId,
    pub(super) lease: &'a Arc<Lease>,
    pub(super) progress: LayerProgress,
    pub(super) cancel: &'a CancellationToken,
}

/// What keeps others away from the layer. The threads hold it too, for they may outlive a pull that
/// was given up, and the next one must not write to the same file beside them.
type Hold = Arc<(OwnedMutexGuard<()>, Arc<Lease>)>;

/// How one pass ended.
enum Pass {
    Done,
    /// What an earlier transfer left was bad; it is gone now.
    StartAgain,
}

impl LayerPull<'_> {
    pub(super) async fn run(self) -> Result<(), PullError> {
        let digest = &self.blob.digest;
        if !digest.is_sha256() {
            return Err(PullError::UnsupportedKind {
                media_type: digest.algorithm().to_owned(),
            });
        }
        // Another pull may be getting it right now.
        let lock = self.inner.locks.lock(digest.as_str()).await;
        let hold: Hold = Arc::new((lock, Arc::clone(self.lease)));
        if self.inner.present_layer(self.layer)?.is_some() {
            self.note_repository()?;
            self.progress.report(LayerPhase::AlreadyExists, 0, 0);
            return Ok(());
        }
        let Ok(_turn) = self.inner.downloads.acquire().await else {
            return Err(RegistryError::Cancelled.into());
        };
        while let Pass::StartAgain = self.pass(&hold).await? {}
        self.progress
            .report(LayerPhase::PullComplete, self.blob.size, self.blob.size);
        Ok(())
    }

    async fn pass(&self, hold: &Hold) -> Result<Pass, PullError> {
        if self.cancel.is_cancelled() {
            return Err(RegistryError::Cancelled.into());
        }
        let (file, path, offset) = self.partial()?;
        let (chunks, receiver) = channel(WAITING);
        let staging = self
            .inner
            .snapshotter
            .begin_layer()
            .map_err(StoreError::from)?;
        let ingesting = tokio::task::spawn_blocking({
            let (path, hold) = (path.clone(), Arc::clone(hold));
            move || {
                let ingested = ingest_into(receiver, (file, &path), &staging);
                drop(hold);
                (ingested, staging)
            }
        });
        let download = Download {
            digest: &self.blob.digest,
            size: self.blob.size,
            offset,
            chunks: &chunks,
            progress: &self.progress,
            cancel: self.cancel,
        };
        let downloaded = download.run(self.session).await;
        // Without the mark at its end the other side sees an interruption.
        drop(chunks);
        self.progress
            .report(LayerPhase::Extracting, self.blob.size, self.blob.size);
        let (ingested, staging) = match ingesting.await {
            Ok(finished) => finished,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(source) => return Err(StoreError::Stopped { source }.into()),
        };
        let ingested = match (downloaded, ingested) {
            (Ok(()), Ok(ingested)) => ingested,
            (Err(error), Ok(_) | Err(IngestError::Interrupted)) => return Err(error.into()),
            (downloaded, Err(error)) => return self.failed(downloaded, error, &path, offset),
        };
        if ingested.digest != self.blob.digest {
            return self.mismatch(&path, offset, ingested.digest);
        }
        if ingested.diff_id != *self.layer {
            remove_if_there(&path)?;
            return Err(PullError::DigestMismatch {
                expected: Digest::from(self.layer),
                actual: Digest::from(&ingested.diff_id),
            });
        }
        self.commit(ingested, path, (staging, Arc::clone(hold)))
            .await?;
        Ok(Pass::Done)
    }

    /// Opens what an earlier transfer left and returns how much that is.
    fn partial(&self) -> Result<(File, PathBuf, u64), StoreError> {
        let (file, path) = self.inner.content.open_partial(&self.blob.digest)?;
        let length = file
            .metadata()
            .map_err(StoreError::content("examine", &path))?
            .len();
        if length > self.blob.size {
            file.set_len(0)
                .map_err(StoreError::content("truncate", &path))?;
            return Ok((file, path, 0));
        }
        Ok((file, path, length))
    }

    /// Decides what a failure on this side means.
    fn failed(
        &self,
        downloaded: Result<(), RegistryError>,
        error: IngestError,
        path: &Path,
        offset: u64,
    ) -> Result<Pass, PullError> {
        match error {
            IngestError::Unpack {
                digest: Some(actual),
                ..
            } if actual != self.blob.digest => self.mismatch(path, offset, actual),
            IngestError::Unpack { source, .. } => {
                // Arriving again would not make it better, and room may be what is lacking.
                remove_if_there(path)?;
                Err(PullError::Unpack {
                    layer: self.blob.digest.clone(),
                    source,
                })
            }
            IngestError::Store(source) => {
                remove_if_there(path)?;
                Err(source.into())
            }
            IngestError::Interrupted => {
                Err(downloaded.err().unwrap_or(RegistryError::Cancelled).into())
            }
        }
    }

    fn mismatch(&self, path: &Path, offset: u64, actual: Digest) -> Result<Pass, PullError> {
        remove_if_there(path)?;
        if offset > 0 {
            tracing::warn!(digest = %self.blob.digest, "what an earlier transfer left was damaged");
            return Ok(Pass::StartAgain);
        }
        Err(PullError::DigestMismatch {
            expected: self.blob.digest.clone(),
            actual,
        })
    }

    async fn commit(
        &self,
        ingested: Ingested,
        path: PathBuf,
        (staging, hold): (Staging, Hold),
    ) -> Result<(), PullError> {
        let record = LayerRecord {
            size: ingested.unpacked.size,
            blobs: vec![self.blob_record()],
            unsettled: Some(Inner::unsettled_mark()),
        };
        let inner = Arc::clone(self.inner);
        let (digest, layer) = (ingested.digest, ingested.diff_id);
        blocking(move || {
            inner.content.commit(&path, &digest)?;
            inner
                .snapshotter
                .commit_layer(staging, &layer)
                .map_err(StoreError::from)?;
            inner.record_layer(&layer, record)?;
            drop(hold);
            Ok(())
        })
        .await
    }

    /// Remembers that this repository has the blob too, so that pushes can be spared.
    fn note_repository(&self) -> Result<(), StoreError> {
        let inner = self.inner;
        let blob = self.blob_record();
        let known = inner.present_layer(self.layer)?.unwrap_or_default();
        if known.blobs.iter().any(|other| {
            other.digest == blob.digest && other.repositories.ends_with(&blob.repositories)
        }) {
            return Ok(());
        }
        Ok(inner.state.write_behind(|writer| {
            let id = self.layer.as_str();
            if let Some(mut record) = writer.get::<LayerRecord>(id)? {
                record.add_blob(blob);
                writer.put(id, &record)?;
            }
            Ok::<(), berth_agent_state::StateError>(())
        })?)
    }

    fn blob_record(&self) -> BlobRecord {
        BlobRecord {
            digest: self.blob.digest.clone(),
            media_type: self.blob.media_type.clone(),
            size: self.blob.size,
            repositories: vec![format!(
                "{}/{}",
                self.session.registry(),
                self.session.repository()
            )],
        }
    }
}

fn ingest_into(
    chunks: Receiver<Chunk>,
    file: (File, &Path),
    staging: &Staging,
) -> Result<Ingested, IngestError> {
    ingest(chunks, file, staging.path())
}
