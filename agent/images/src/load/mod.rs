//! Images out of an archive: Docker's or an OCI layout, of any compression.
//!
//! Archives come from strangers and may name their content before or after it. So everything is taken
//! to files of our own first, under numbers; then it is checked and unpacked as a pulled layer is; and
//! at the end one transaction makes all images visible. Whatever ends a load before that, a kill
//! included, leaves nothing.

mod docker;
mod error;
mod layer;
mod oci;
mod spool;

use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::sync::Arc;

use berth_agent_snapshots::LayerId;
use berth_agent_state::StateError;

use crate::images::Inner;
use crate::records::{ImageRecord, LayerRecord, ManifestRecord, ReferenceRecord};
use crate::{Digest, ErrorKind, ImageConfiguration, ImageId, Images, Platform, Reference};

pub use error::LoadError;
use layer::NewLayers;
use spool::{Content, Spool};

/// More layers than overlayfs can stack are not unpacked; Docker's number.
const MAX_LAYERS: usize = 125;

/// What all configurations of one archive may take together, in bytes.
const MAX_CONFIGURATIONS: usize = 64 << 20;

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its id.
    pub id: ImageId,
    /// The names that point at it now.
    pub names: Vec<LoadedName>,
}

/// A name that came with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedName {
    /// The familiar name.
    pub name: String,
    /// The image that had it before.
    pub replaced: Option<ImageId>,
}

/// An image of an archive, checked as far as it can be without its layers.
struct Planned {
    id: ImageId,
    config: String,
    manifest: Option<ManifestRecord>,
    names: Vec<Reference>,
    /// Each layer and where the archive has it.
    layers: Vec<(LayerId, Content)>,
}

impl Images {
    /// Takes all images of an archive in. Blocks as long as the reader does.
    ///
    /// # Errors
    ///
    /// Fails when the archive is malformed or lies about its content, or when the disk is full; there is
    /// nothing of it then.
    pub fn load(&self, reader: impl Read + Send) -> Result<Vec<Loaded>, LoadError> {
        let result = self.inner.load(reader);
        if matches!(&result, Err(error) if error.kind() == ErrorKind::DiskFull)
            && let Err(error) = self.inner.collect()
        {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the disk stays full");
        }
        berth_agent_sys::memory::release_free_memory();
        result
    }
}

impl Inner {
    fn load(self: &Arc<Self>, reader: impl Read + Send) -> Result<Vec<Loaded>, LoadError> {
        let spool = Spool::fill(&self.content, reader)?;
        let planned = match docker::read(&spool)? {
            Some(planned) => planned,
            None => oci::read(&spool)?,
        };
        let layers = planned.iter().flat_map(|image| &image.layers);
        let keys: Vec<String> = layers.clone().map(|(id, _)| id.to_string()).collect();
        let _lease = self.leases.take(keys);
        let mut new = NewLayers::new(self, &spool);
        let mut seen = BTreeSet::new();
        for (id, content) in layers {
            if seen.insert(id.clone()) {
                new.take(id, content)?;
            }
        }
        let (records, _blobs) = new.commit()?;
        let loaded = self.make_visible(planned, records)?;
        self.settle_soon();
        Ok(loaded)
    }

    fn make_visible(
        &self,
        planned: Vec<Planned>,
        layers: HashMap<LayerId, LayerRecord>,
    ) -> Result<Vec<Loaded>, LoadError> {
        let loaded = self.state.write(|writer| {
            for (id, record) in layers {
                let known = writer.get::<LayerRecord>(id.as_str())?;
                let mut merged = known.unwrap_or_default();
                merged.size = record.size;
                merged.unsettled = record.unsettled;
                for blob in record.blobs {
                    merged.add_blob(blob);
                }
                writer.put(id.as_str(), &merged)?;
            }
            let mut loaded = Vec::new();
            for image in planned {
                let record = ImageRecord {
                    config: image.config,
                    manifest: image.manifest,
                    parent: None,
                };
                // What is known of an image that is here already is kept.
                writer.insert(image.id.as_str(), &record)?;
                let mut names = Vec::new();
                for name in image.names {
                    let key = name.to_string();
                    let before = writer.get::<ReferenceRecord>(&key)?;
                    let now = ReferenceRecord {
                        image: image.id.clone(),
                    };
                    writer.put(&key, &now)?;
                    let before = before.map(|record| record.image);
                    names.push(LoadedName {
                        name: name.familiar(),
                        replaced: before.filter(|before| *before != image.id),
                    });
                }
                let id = image.id;
                loaded.push(Loaded { id, names });
            }
            Ok::<_, StateError>(loaded)
        });
        Ok(loaded?)
    }
}

/// Checks a configuration against what an archive says of it.
fn plan(
    (config, manifest): (Vec<u8>, Option<ManifestRecord>),
    names: Vec<Reference>,
    contents: Vec<Content>,
) -> Result<Planned, LoadError> {
    let id = ImageId::new(Digest::of(&config));
    let malformed = |source| LoadError::Json {
        what: format!("configuration of image {}", id.short()),
        source,
    };
    let parsed: ImageConfiguration = serde_json::from_slice(&config).map_err(malformed)?;
    let host = Platform::host();
    if !parsed.os.is_empty() && parsed.os != host.os {
        return Err(LoadError::System {
            os: parsed.os,
            host: host.os,
        });
    }
    let layers = parsed.rootfs.diff_ids;
    if layers.len() != contents.len() {
        return Err(LoadError::LayerCount {
            n_layers: layers.len(),
            n_contents: contents.len(),
        });
    }
    if layers.len() > MAX_LAYERS {
        return Err(LoadError::TooManyLayers { image: id });
    }
    let config = String::from_utf8(config).map_err(|_not_text| LoadError::NotText)?;
    Ok(Planned {
        id,
        config,
        manifest,
        names,
        layers: layers.into_iter().zip(contents).collect(),
    })
}

/// Counts what the configurations of an archive take.
#[derive(Debug, Default)]
struct Allowance(usize);

impl Allowance {
    fn take(&mut self, config: &[u8]) -> Result<(), LoadError> {
        self.0 += config.len();
        if self.0 > MAX_CONFIGURATIONS {
            return Err(LoadError::TooMany {
                what: "bytes of configurations",
            });
        }
        Ok(())
    }
}
