//! Removing what nobody needs.

use std::collections::HashSet;

use berth_agent_snapshots::{LayerId, SnapshotError, Staging};

use super::Inner;
use crate::records::{GarbageRecord, ImageRecord, LayerRecord};
use crate::{Digest, StoreError};

impl Inner {
    /// Removes layers and content that no image, container or lease needs; returns the size of the
    /// content.
    pub(crate) fn collect(&self) -> Result<u64, StoreError> {
        let (size, trees) = self.detach_unneeded()?;
        // What is detached is deleted by whoever opens the store next, if not by us.
        self.state
            .write_behind(|writer| writer.remove::<GarbageRecord>(GarbageRecord::KEY))?;
        // Deleting takes long, and nobody waits for it with the leases held.
        drop(trees);
        Ok(size)
    }

    /// Ends what a killed agent began.
    pub(super) fn collect_again(&self) -> Result<(), StoreError> {
        let pending = self
            .state
            .read(|reader| reader.get::<GarbageRecord>(GarbageRecord::KEY))?;
        if pending.is_some() {
            tracing::info!("collecting what a removed image has left");
            self.collect()?;
        }
        Ok(())
    }

    fn detach_unneeded(&self) -> Result<(u64, Vec<Staging>), StoreError> {
        // Leases first, records second: what was leased a moment ago is in the records by now.
        let leases = self.leases.hold();
        let needed = self.needed_layers()?;
        let records = self.state.write(|writer| {
            let records = writer.list::<LayerRecord>()?;
            for (id, _record) in &records {
                if !needed.contains(id.as_str()) && !leases.has(id) {
                    writer.remove::<LayerRecord>(id)?;
                }
            }
            writer.list::<LayerRecord>()
        })?;
        let known: HashSet<&str> = records.iter().map(|(id, _)| id.as_str()).collect();
        let mut trees = Vec::new();
        for layer in self.snapshotter.list_layers()? {
            let id = layer.as_str();
            // A container may need a layer that has no record, after its image was forced away.
            if !known.contains(id) && !needed.contains(id) && !leases.has(id) {
                trees.extend(self.snapshotter.detach_layer(&layer)?);
            }
        }
        let blobs: HashSet<&Digest> = records
            .iter()
            .flat_map(|(_, record)| record.blobs.iter().map(|blob| &blob.digest))
            .collect();
        let mut size = 0;
        for blob in self.content.list()? {
            if !blobs.contains(&blob) && !leases.has(blob.as_str()) {
                size += self.content.remove(&blob)?;
            }
        }
        size += self
            .content
            .remove_partials(|digest| blobs.contains(digest) || leases.has(digest.as_str()))?;
        Ok((size, trees))
    }

    /// Returns the layers of all images and all containers.
    fn needed_layers(&self) -> Result<HashSet<String>, StoreError> {
        let images = self.state.read(|reader| reader.list::<ImageRecord>())?;
        let mut needed: HashSet<String> = images
            .iter()
            .flat_map(|(_, image)| image.layers())
            .map(String::from)
            .collect();
        for layers in self.container_layers()? {
            needed.extend(layers.into_iter().map(String::from));
        }
        Ok(needed)
    }

    /// Returns the layers below each container's filesystem.
    pub(super) fn container_layers(&self) -> Result<Vec<Vec<LayerId>>, StoreError> {
        let mut all = Vec::new();
        for key in self.snapshotter.list_keys()? {
            match self.snapshotter.layers_of(&key) {
                // It was removed in the meantime.
                Err(SnapshotError::NoSuchKey { .. }) => {}
                // After a power failure; the engine writes it anew. Its layers are those of an image.
                Err(error @ SnapshotError::Damaged { .. }) => {
                    tracing::warn!(key, %error, "layers of a container not known");
                }
                layers => all.push(layers?),
            }
        }
        Ok(all)
    }
}
