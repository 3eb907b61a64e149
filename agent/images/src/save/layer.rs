//! One layer of an archive.

use std::fs::File;
use std::io::Write;

use berth_agent_snapshots::LayerId;
use berth_agent_sys::root_dir::RootDir;
use berth_archive::{NewEntry, TarWriter};

use super::{SaveError, member};
use crate::images::Inner;
use crate::layout::{self, PLAIN_LAYER};
use crate::leases::Lease;
use crate::pack::{PackError, pack_tree};
use crate::push::Counting;
use crate::registry::{Descriptor, media_type};
use crate::{Digest, StoreError};

/// A layer in the form in which it is written.
#[derive(Debug)]
pub(super) struct SavedLayer {
    pub(super) digest: Digest,
    pub(super) descriptor: Descriptor,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// As it came, in a file that stays as long as the lease.
    Kept(Lease),
    /// Packed again.
    Tree(LayerId),
}

impl Inner {
    /// Finds out in what form a layer is written. One that was made here is packed to learn its size.
    pub(super) fn find_layer(&self, layer: &LayerId) -> Result<SavedLayer, SaveError> {
        let record = self
            .present_layer(layer)?
            .ok_or_else(|| SaveError::NoSuchLayer {
                layer: layer.clone(),
            })?;
        for blob in record.blobs {
            let lease = self.leases.take([&blob.digest]);
            if !self.content.has(&blob.digest) {
                continue;
            }
            let kind = match blob.media_type.as_str() {
                media_type::DOCKER_LAYER => media_type::OCI_LAYER,
                other => other,
            };
            return Ok(SavedLayer {
                descriptor: Descriptor::new(kind, blob.digest.clone(), blob.size),
                digest: blob.digest,
                form: Form::Kept(lease),
            });
        }
        let mut sum = Counting::new(std::io::sink());
        self.pack(layer, &mut sum)?;
        let (actual, size) = sum.finish();
        if actual.as_str() != layer.as_str() {
            return Err(SaveError::Changed {
                layer: layer.clone(),
                actual,
            });
        }
        Ok(SavedLayer {
            descriptor: Descriptor::new(PLAIN_LAYER, actual.clone(), size),
            digest: actual,
            form: Form::Tree(layer.clone()),
        })
    }

    pub(super) fn write_layer<W: Write>(
        &self,
        layer: &SavedLayer,
        tar: &mut TarWriter<W>,
    ) -> Result<(), SaveError> {
        let path = layout::blob_path(&layer.digest);
        let size = layer.descriptor.size;
        match &layer.form {
            Form::Kept(_lease) => {
                let source = self.content.blob_path(&layer.digest);
                let file = File::open(&source).map_err(StoreError::content("open", &source))?;
                member(tar, &path, size, file)
            }
            Form::Tree(id) => {
                let entry = NewEntry {
                    path: path.as_bytes(),
                    kind: b'0',
                    mode: 0o644,
                    size,
                    ..NewEntry::default()
                };
                tar.entry(&entry).map_err(SaveError::Write)?;
                self.pack(id, tar.get_mut())?;
                tar.pad(size).map_err(SaveError::Write)
            }
        }
    }

    /// Packs the tree of a layer.
    fn pack(&self, layer: &LayerId, writer: impl Write) -> Result<(), SaveError> {
        let tree = self.snapshotter.layer_path(layer);
        let root = RootDir::open(&tree).map_err(StoreError::content("open", &tree))?;
        let packed = pack_tree(&root, writer);
        packed
            .map(drop)
            .map_err(|PackError { path, source }| SaveError::Pack {
                layer: layer.clone(),
                path,
                source,
            })
    }
}
