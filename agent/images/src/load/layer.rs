//! The layers of an archive: unpacked, checked, and committed when all are right.

use std::collections::HashMap;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use berth_agent_snapshots::{LayerId, Staging};
use berth_agent_sys::root_dir::RootDir;

use super::{Content, LoadError, Spool};
use crate::images::Inner;
use crate::ingest::{Chunk, IngestError, Ingested, ingest};
use crate::layout::{PLAIN_LAYER, ZSTD_LAYER};
use crate::leases::Lease;
use crate::pack::pack_tree;
use crate::push::Counting;
use crate::records::{BlobRecord, LayerRecord};
use crate::registry::media_type;
use crate::{Compression, Digest, StoreError};

/// Layers that wait for being committed together.
pub(super) struct NewLayers<'a> {
    inner: &'a Inner,
    spool: &'a Spool,
    waiting: Vec<Waiting>,
}

struct Waiting {
    id: LayerId,
    record: LayerRecord,
    staging: Staging,
    /// The compressed form, if it stays.
    kept: Option<(PathBuf, Digest)>,
}

impl<'a> NewLayers<'a> {
    pub(super) fn new(inner: &'a Inner, spool: &'a Spool) -> Self {
        Self {
            inner,
            spool,
            waiting: Vec::new(),
        }
    }

    /// Unpacks and checks a layer, unless it is here.
    pub(super) fn take(&mut self, id: &LayerId, content: &Content) -> Result<(), LoadError> {
        if self.inner.present_layer(id)?.is_some() {
            return Ok(());
        }
        let missing = || LoadError::Missing {
            path: content.path.clone(),
        };
        let (mut file, path) = self.spool.open(&content.path)?.ok_or_else(missing)?;
        let mut start = Vec::new();
        let fail = || StoreError::content("read", path);
        (&mut file)
            .take(8)
            .read_to_end(&mut start)
            .map_err(fail())?;
        let size = file.seek(SeekFrom::End(0)).map_err(fail())?;
        file.seek(SeekFrom::Start(0)).map_err(fail())?;
        let compression = Compression::detect(&start);
        let staging = self.inner.snapshotter.begin_layer();
        let staging = staging.map_err(StoreError::from)?;
        let ingested = unpack(id, (file, path), &staging)?;
        check(id, content, &ingested)?;
        let digest = ingested.digest;
        let named = content.media_type.clone();
        let is_oci = named.as_deref() == Some(media_type::OCI_LAYER);
        let kept = self
            .keeps(id, compression, &staging)?
            .map(|kind| BlobRecord {
                // Of the two names for the same the list's own is kept; other words of it count for nothing.
                media_type: named
                    .filter(|_| is_oci && kind == media_type::DOCKER_LAYER)
                    .unwrap_or(kind),
                digest: digest.clone(),
                size,
                repositories: Vec::new(),
            });
        self.waiting.push(Waiting {
            id: id.clone(),
            kept: kept.is_some().then(|| (path.to_owned(), digest)),
            record: LayerRecord {
                size: ingested.unpacked.size,
                blobs: kept.into_iter().collect(),
                unsettled: Some(Inner::unsettled_mark()),
            },
            staging,
        });
        Ok(())
    }

    /// Tells whether the form in which a layer came is kept, and what it is called. Pushing and saving
    /// need it, unless the layer can be packed to the very same bytes again.
    fn keeps(
        &self,
        id: &LayerId,
        compression: Compression,
        staging: &Staging,
    ) -> Result<Option<String>, LoadError> {
        let kind = match compression {
            Compression::Gzip => media_type::DOCKER_LAYER,
            Compression::Zstd => ZSTD_LAYER,
            Compression::None => PLAIN_LAYER,
            // Nobody else takes these for layers.
            Compression::Bzip2 | Compression::Xz => return Ok(None),
        };
        if compression == Compression::None {
            let tree = staging.path();
            let root = RootDir::open(tree).map_err(StoreError::content("open", tree))?;
            let mut sum = Counting::new(std::io::sink());
            let packed = pack_tree(&root, &mut sum);
            if packed.is_ok() && sum.finish().0.as_str() == id.as_str() {
                return Ok(None);
            }
        }
        Ok(Some(kind.to_owned()))
    }

    /// Gives everything its place. The records are still to be written; without them, what is here
    /// counts for nothing once the lease is gone.
    pub(super) fn commit(self) -> Result<(HashMap<LayerId, LayerRecord>, Lease), LoadError> {
        let kept = self.waiting.iter().filter_map(|layer| layer.kept.as_ref());
        let lease = self.inner.leases.take(kept.map(|(_, digest)| digest));
        let mut records = HashMap::new();
        for layer in self.waiting {
            if let Some((path, digest)) = &layer.kept {
                match self.inner.content.commit(path, digest) {
                    // Two layers with the same bytes: the other one has brought it.
                    Err(_) if self.inner.content.has(digest) => {}
                    result => result?,
                }
            }
            let committed = self
                .inner
                .snapshotter
                .commit_layer(layer.staging, &layer.id);
            committed.map_err(StoreError::from)?;
            records.insert(layer.id, layer.record);
        }
        Ok((records, lease))
    }
}

fn unpack(
    id: &LayerId,
    file: (std::fs::File, &Path),
    staging: &Staging,
) -> Result<Ingested, LoadError> {
    let (sender, chunks) = tokio::sync::mpsc::channel(1);
    // The channel has room for the one message: all that there is, is in the file.
    let _ = sender.try_send(Chunk::End);
    ingest(chunks, file, staging.path()).map_err(|error| match error {
        IngestError::Store(source) => source.into(),
        IngestError::Unpack { source, .. } => LoadError::Unpack {
            layer: id.clone(),
            source,
        },
        IngestError::Interrupted => LoadError::Read(std::io::ErrorKind::UnexpectedEof.into()),
    })
}

fn check(id: &LayerId, content: &Content, ingested: &Ingested) -> Result<(), LoadError> {
    if let Some(expected) = &content.digest
        && *expected != ingested.digest
    {
        return Err(LoadError::Digest {
            path: content.path.clone(),
            actual: ingested.digest.clone(),
        });
    }
    if ingested.diff_id != *id {
        return Err(LoadError::DiffId {
            expected: id.clone(),
            actual: ingested.diff_id.clone(),
        });
    }
    Ok(())
}
