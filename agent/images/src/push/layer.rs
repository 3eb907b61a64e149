//! Sending one layer.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use berth_agent_snapshots::LayerId;
use berth_agent_state::StateError;
use berth_agent_sys::root_dir::RootDir;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use super::{Push, PushError};
use crate::images::{Inner, blocking};
use crate::pack::{PackError, pack_tree};
use crate::progress::{LayerPhase, LayerProgress};
use crate::records::{BlobRecord, LayerRecord};
use crate::registry::{RegistryError, Uploaded, media_type};
use crate::{Digest, StoreError};

/// Docker's level, so that what is pushed is about as large.
const LEVEL: flate2::Compression = flate2::Compression::new(6);

impl Push<'_> {
    /// Sees to it that the registry has the layer, and returns the form in which it has it.
    pub(super) async fn layer(
        &self,
        layer: &LayerId,
        preferred: Option<Digest>,
    ) -> Result<BlobRecord, PushError> {
        let progress = Arc::new(self.progress.layer(&Digest::from(layer)));
        progress.report(LayerPhase::Preparing, 0, 0);
        // Two pushes at once pack it once.
        let _lock = self.inner.locks.lock(layer.as_str()).await;
        let mut blob = self.blob(layer, preferred).await?;
        let fail = |source| PushError::registry(self.reference, source);
        let uploaded = self.place(&blob, &progress).await.map_err(fail)?;
        let phase = match uploaded {
            Uploaded::Existed => LayerPhase::AlreadyExists,
            Uploaded::Mounted => LayerPhase::Mounted,
            Uploaded::Sent => LayerPhase::Pushed,
        };
        progress.report(phase, blob.size, blob.size);
        blob.repositories = vec![format!(
            "{}/{}",
            self.session.registry(),
            self.session.repository()
        )];
        Ok(blob)
    }

    async fn place(
        &self,
        blob: &BlobRecord,
        progress: &Arc<LayerProgress>,
    ) -> Result<Uploaded, RegistryError> {
        if self.session.has_blob(&blob.digest).await? {
            return Ok(Uploaded::Existed);
        }
        for repository in blob.repositories.iter().rev() {
            if let Some((registry, path)) = repository.split_once('/')
                && registry == self.session.registry()
                && path != self.session.repository()
                && self.session.mount(&blob.digest, path).await?
            {
                return Ok(Uploaded::Mounted);
            }
        }
        let path = self.inner.content.blob_path(&blob.digest);
        self.session
            .upload(&blob.digest, (&path, blob.size), progress)
            .await?;
        Ok(Uploaded::Sent)
    }

    /// Returns a compressed form of the layer whose file is here, making one if need be.
    async fn blob(
        &self,
        layer: &LayerId,
        preferred: Option<Digest>,
    ) -> Result<BlobRecord, PushError> {
        let no_such_layer = || PushError::NoSuchLayer {
            layer: layer.clone(),
        };
        let record = self.inner.present_layer(layer)?.ok_or_else(no_such_layer)?;
        let mut here: Vec<BlobRecord> = record
            .blobs
            .into_iter()
            .filter(|blob| self.inner.content.has(&blob.digest))
            .collect();
        let best = here
            .iter()
            .position(|blob| Some(&blob.digest) == preferred.as_ref());
        if !here.is_empty() {
            return Ok(here.swap_remove(best.unwrap_or(0)));
        }
        let (inner, layer) = (Arc::clone(self.inner), layer.clone());
        blocking(move || inner.compress(&layer)).await
    }
}

impl Inner {
    /// Packs and compresses a layer that was made here.
    fn compress(&self, layer: &LayerId) -> Result<BlobRecord, PushError> {
        let tree = self.snapshotter.layer_path(layer);
        let root = RootDir::open(&tree).map_err(StoreError::content("open", &tree))?;
        let (file, scratch) = self.content.scratch()?;
        let buffered = BufWriter::with_capacity(128 * 1024, file);
        let mut tar = Counting::new(GzEncoder::new(Counting::new(buffered), LEVEL));
        pack_tree(&root, &mut tar).map_err(|PackError { path, source }| PushError::Pack {
            layer: layer.clone(),
            path,
            source,
        })?;
        let actual = LayerId::from_sha256(&tar.sum.finalize().into());
        if actual != *layer {
            return Err(PushError::Changed {
                layer: layer.clone(),
                actual,
            });
        }
        let fail = || StoreError::content("write", scratch.path());
        let compressed = tar.inner.finish().map_err(fail())?;
        let file = compressed
            .inner
            .into_inner()
            .map_err(io::IntoInnerError::into_error);
        // No mark says that this may be torn by a power cut, so it must not be.
        file.and_then(|file| file.sync_data()).map_err(fail())?;
        let blob = BlobRecord {
            digest: Digest::from_sha256(compressed.sum.finalize().into()),
            media_type: media_type::DOCKER_LAYER.to_owned(),
            size: compressed.size,
            repositories: Vec::new(),
        };
        // Nothing refers to it until its record is written.
        let _lease = self.leases.take([&blob.digest]);
        self.content.commit(scratch.path(), &blob.digest)?;
        let recorded = self.state.write(|writer| {
            let mut record = writer
                .get::<LayerRecord>(layer.as_str())?
                .unwrap_or_default();
            record.add_blob(blob.clone());
            writer.put(layer.as_str(), &record)
        });
        recorded.map_err(|error: StateError| StoreError::from(error))?;
        Ok(blob)
    }
}

/// Takes size and digest of what passes.
pub(crate) struct Counting<W> {
    inner: W,
    sum: Sha256,
    size: u64,
}

impl<W> Counting<W> {
    /// Returns the digest and the size of what has passed.
    pub(crate) fn finish(self) -> (Digest, u64) {
        (Digest::from_sha256(self.sum.finalize().into()), self.size)
    }

    pub(crate) fn new(inner: W) -> Self {
        Self {
            inner,
            sum: Sha256::new(),
            size: 0,
        }
    }
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.sum.update(&bytes[..n]);
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
