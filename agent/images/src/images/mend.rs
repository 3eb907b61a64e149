//! Putting the store in order after a kill or a power cut.

use std::collections::HashSet;

use berth_agent_snapshots::LayerId;
use berth_agent_state::StateError;

use super::Inner;
use crate::content::remove_if_there;
use crate::ingest::{Chunk, IngestError, ingest};
use crate::records::{BlobRecord, ImageRecord, LayerRecord, ReferenceRecord};
use crate::{ErrorKind, StoreError};

/// What became of a layer that has to be unpacked again.
enum Restored {
    Yes,
    /// Nothing whole is left of it.
    No,
    /// What is left of it stays for another time.
    NoRoom,
}

impl Inner {
    /// Drops what may be torn, restores what can be, and forgets what is lost.
    ///
    /// What is only unfinished stays: parts of blobs for the next pull, whole layers without an
    /// image for the next pull or collection.
    pub(super) fn mend(&self) -> Result<(), StoreError> {
        let records = self.state.read(|reader| reader.list::<LayerRecord>())?;
        let mut lost = Vec::new();
        for (id, record) in &records {
            let Ok(layer) = id.parse() else {
                continue;
            };
            let is_torn = record
                .unsettled
                .as_deref()
                .is_some_and(|mark| !Self::is_of_this_boot(mark));
            if is_torn {
                self.snapshotter.remove_layer(&layer)?;
            }
            if self.snapshotter.has_layer(&layer) {
                continue;
            }
            match self.restore(&layer, record)? {
                Restored::Yes => {}
                Restored::No => {
                    tracing::warn!(%layer, "a layer was lost when the machine went down");
                    lost.push(id.clone());
                }
                Restored::NoRoom => tracing::warn!(
                    %layer,
                    "no room to unpack a layer again; it is tried at the next start"
                ),
            }
        }
        self.forget(&lost)?;
        self.remove_strays()
    }

    /// Unpacks a layer again from what is left of its compressed forms.
    fn restore(&self, layer: &LayerId, record: &LayerRecord) -> Result<Restored, StoreError> {
        for blob in &record.blobs {
            // One that an earlier attempt had open when it was killed counts as arriving.
            if self.content.has_some(&blob.digest) {
                match self.restore_from(layer, record, blob)? {
                    Restored::No => {}
                    done => return Ok(done),
                }
            }
        }
        Ok(Restored::No)
    }

    fn restore_from(
        &self,
        layer: &LayerId,
        record: &LayerRecord,
        blob: &BlobRecord,
    ) -> Result<Restored, StoreError> {
        let (file, path) = self.content.open_partial(&blob.digest)?;
        let staging = self.snapshotter.begin_layer()?;
        let (sender, chunks) = tokio::sync::mpsc::channel(1);
        // The channel has room for the one message.
        let _ = sender.try_send(Chunk::End);
        // On its own thread, since waiting is forbidden on those of an async runtime.
        let result = std::thread::scope(|scope| {
            let thread = scope.spawn(|| ingest(chunks, (file, &path), staging.path()));
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        match result {
            Ok(ingested) if ingested.digest == blob.digest && ingested.diff_id == *layer => {}
            Err(IngestError::Store(StoreError::DiskFull { .. })) => return Ok(Restored::NoRoom),
            Err(IngestError::Unpack { source, .. }) if source.kind() == ErrorKind::DiskFull => {
                return Ok(Restored::NoRoom);
            }
            Err(IngestError::Store(error)) => return Err(error),
            _torn => {
                remove_if_there(&path)?;
                return Ok(Restored::No);
            }
        }
        self.content.commit(&path, &blob.digest)?;
        self.snapshotter.commit_layer(staging, layer)?;
        let mut record = record.clone();
        record.unsettled = Some(Self::unsettled_mark());
        self.state
            .write(|writer| writer.put(layer.as_str(), &record))?;
        tracing::info!(%layer, "unpacked a layer again");
        Ok(Restored::Yes)
    }

    /// Removes the records of layers, and of images that cannot be without them.
    fn forget(&self, lost: &[String]) -> Result<(), StoreError> {
        if lost.is_empty() {
            return Ok(());
        }
        Ok(self.state.write(|writer| {
            for id in lost {
                writer.remove::<LayerRecord>(id)?;
            }
            let lost: HashSet<&str> = lost.iter().map(String::as_str).collect();
            let mut images = HashSet::new();
            for (id, image) in writer.list::<ImageRecord>()? {
                if image.layers().iter().any(|layer| lost.contains(layer.as_str())) {
                    tracing::warn!(image = %id, "an image is lost and must be pulled or built again");
                    writer.remove::<ImageRecord>(&id)?;
                    images.insert(id);
                }
            }
            for (name, reference) in writer.list::<ReferenceRecord>()? {
                if images.contains(reference.image.as_str()) {
                    writer.remove::<ReferenceRecord>(&name)?;
                }
            }
            Ok::<(), StateError>(())
        })?)
    }

    /// Removes layers and blobs that were committed without getting as far as their record.
    fn remove_strays(&self) -> Result<(), StoreError> {
        let records = self.state.read(|reader| reader.list::<LayerRecord>())?;
        let known: HashSet<&str> = records.iter().map(|(id, _)| id.as_str()).collect();
        let used: HashSet<LayerId> = self.container_layers()?.into_iter().flatten().collect();
        for layer in self.snapshotter.list_layers()? {
            if !known.contains(layer.as_str()) && !used.contains(&layer) {
                self.snapshotter.remove_layer(&layer)?;
            }
        }
        let blobs: HashSet<_> = records
            .iter()
            .flat_map(|(_, record)| record.blobs.iter().map(|blob| &blob.digest))
            .collect();
        for blob in self.content.list()? {
            if !blobs.contains(&blob) {
                self.content.remove(&blob)?;
            }
        }
        Ok(())
    }
}
