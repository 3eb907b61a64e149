//! Images into an archive, which Docker, Podman and everybody who knows OCI layouts can read.
//!
//! Layers that came compressed leave as they came, so that nothing is compressed again and their
//! digests stay; layers made here leave as plain tars.

mod error;
mod layer;

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};

use berth_agent_snapshots::LayerId;
use berth_agent_state::StateError;
use berth_archive::{NewEntry, TarWriter};
use serde::Serialize;

use crate::images::Inner;
use crate::layout::{self, DockerItem, OciEntry, OciIndex, OciPlatform};
use crate::leases::Lease;
use crate::records::{ImageRecord, ReferenceRecord};
use crate::registry::{Descriptor, ImageManifest, media_type};
use crate::{AnyReference, Digest, ImageConfiguration, ImageId, Images, LookupError, Reference};

pub use error::SaveError;
use layer::SavedLayer;

/// Images that are going to be written to an archive. They stay until this is dropped, also when
/// somebody removes them meanwhile.
#[derive(Debug)]
pub struct Saving {
    images: Images,
    chosen: Vec<Chosen>,
    _lease: Lease,
}

#[derive(Debug)]
struct Chosen {
    id: ImageId,
    names: Vec<Reference>,
    record: ImageRecord,
}

impl Images {
    /// Finds images by names and ids. A name without a tag means all tags of its repository.
    ///
    /// # Errors
    ///
    /// Fails when there is no image of a name.
    pub fn begin_save(&self, names: &[String]) -> Result<Saving, SaveError> {
        let chosen = self.inner.choose(names)?;
        let keys = chosen.iter().flat_map(|image| image.record.layers());
        let lease = self.inner.leases.take(keys);
        // Looked for again: one may have been removed before the lease.
        let chosen = self.inner.choose(names)?;
        Ok(Saving {
            images: self.clone(),
            chosen,
            _lease: lease,
        })
    }
}

impl Inner {
    fn choose(&self, names: &[String]) -> Result<Vec<Chosen>, SaveError> {
        let mut chosen: Vec<Chosen> = Vec::new();
        for name in names {
            let found = self.meant_by(name)?;
            for (id, reference) in found {
                let record = self
                    .state
                    .read(|reader| reader.get::<ImageRecord>(id.as_str()))?;
                let record =
                    record.ok_or_else(|| LookupError::NoSuchImage { name: name.clone() })?;
                let known = chosen.iter().position(|image| image.id == id);
                let at = known.unwrap_or_else(|| {
                    chosen.push(Chosen {
                        id,
                        names: Vec::new(),
                        record,
                    });
                    chosen.len() - 1
                });
                let names = &mut chosen[at].names;
                names.extend(reference.filter(|reference| !names.contains(reference)));
            }
        }
        Ok(chosen)
    }

    /// Returns the images that a text means, with the names that it means them by.
    fn meant_by(&self, text: &str) -> Result<Vec<(ImageId, Option<Reference>)>, SaveError> {
        if let Ok(AnyReference::Named(reference)) = AnyReference::parse(text) {
            let found = self.state.read(|reader| {
                let all = reader.list::<ReferenceRecord>()?;
                let parsed = all.into_iter().filter_map(|(name, record)| {
                    Some((record.image, Reference::parse(&name).ok()?))
                });
                let is_meant = |found: &Reference| match reference.is_name_only() {
                    true => found.name() == reference.name() && found.digest().is_none(),
                    false => *found == reference.clone().definite(),
                };
                let found = parsed.filter(|(_, found)| is_meant(found));
                Ok::<_, StateError>(found.collect::<Vec<_>>())
            })?;
            if !found.is_empty() {
                let tagged = |name: Reference| Some(name).filter(|name| name.digest().is_none());
                return Ok(found
                    .into_iter()
                    .map(|(id, name)| (id, tagged(name)))
                    .collect());
            }
        }
        let id = self
            .state
            .read(|reader| crate::images::resolve(reader, text))?;
        Ok(vec![(id, None)])
    }
}

impl Saving {
    /// Returns the images, each with its id.
    pub fn ids(&self) -> impl Iterator<Item = &ImageId> {
        self.chosen.iter().map(|image| &image.id)
    }

    /// Writes the archive. Blocks as long as the writer does.
    ///
    /// # Errors
    ///
    /// Fails when a layer cannot be read or the archive not be written.
    pub fn write(&self, writer: impl Write) -> Result<(), SaveError> {
        let mut archive = Archive::new(writer);
        archive.folder("blobs/")?;
        archive.folder("blobs/sha256/")?;
        let mut layers: HashMap<LayerId, SavedLayer> = HashMap::new();
        let (mut docker, mut entries) = (Vec::new(), Vec::new());
        for image in &self.chosen {
            let mut saved = Vec::new();
            for id in image.record.layers() {
                if !layers.contains_key(&id) {
                    let layer = self.images.inner.find_layer(&id)?;
                    if archive.is_new(&layer.digest) {
                        self.images.inner.write_layer(&layer, &mut archive.tar)?;
                    }
                    layers.insert(id.clone(), layer);
                }
                saved.extend(layers.get(&id).map(|layer| layer.descriptor.clone()));
            }
            archive.blob(image.id.digest(), image.record.config.as_bytes())?;
            docker.push(docker_item(image, &saved));
            entries.extend(archive.manifest(image, saved)?);
        }
        archive.finish(docker, entries)
    }
}

fn docker_item(image: &Chosen, layers: &[Descriptor]) -> DockerItem {
    let names = image.names.iter().map(Reference::familiar).collect();
    let layers = layers.iter().map(|layer| layout::blob_path(&layer.digest));
    DockerItem {
        config: layout::blob_path(image.id.digest()),
        repo_tags: Some(names),
        layers: Some(layers.collect()),
    }
}

/// An archive that is being written.
struct Archive<W> {
    tar: TarWriter<W>,
    /// Content that is in it.
    written: Vec<Digest>,
}

impl<W: Write> Archive<W> {
    fn new(writer: W) -> Self {
        Self {
            tar: TarWriter::new(writer),
            written: Vec::new(),
        }
    }

    fn folder(&mut self, path: &str) -> Result<(), SaveError> {
        let entry = NewEntry {
            path: path.as_bytes(),
            kind: b'5',
            mode: 0o755,
            ..NewEntry::default()
        };
        self.tar.entry(&entry).map_err(SaveError::Write)
    }

    /// Tells whether content is still missing, and notes that it is not from now on.
    fn is_new(&mut self, digest: &Digest) -> bool {
        if self.written.contains(digest) {
            return false;
        }
        self.written.push(digest.clone());
        true
    }

    fn blob(&mut self, digest: &Digest, bytes: &[u8]) -> Result<(), SaveError> {
        if self.is_new(digest) {
            self.file(&layout::blob_path(digest), bytes)?;
        }
        Ok(())
    }

    fn file(&mut self, path: &str, bytes: &[u8]) -> Result<(), SaveError> {
        let size = bytes.len() as u64;
        member(&mut self.tar, path, size, bytes)
    }

    /// Writes the manifest of an image: the one that it came with if it still fits, or a new one.
    /// Returns the entries of the index, one for each name.
    fn manifest(
        &mut self,
        image: &Chosen,
        layers: Vec<Descriptor>,
    ) -> Result<Vec<OciEntry>, SaveError> {
        let text = match fitting(image, &layers) {
            Some(text) => text,
            None => {
                let config_size = image.record.config.len() as u64;
                let config = image.id.digest().clone();
                json(&ImageManifest {
                    schema_version: 2,
                    media_type: media_type::OCI_MANIFEST.to_owned(),
                    config: Descriptor::new(media_type::OCI_CONFIG, config, config_size),
                    layers,
                })?
            }
        };
        let digest = Digest::of(text.as_bytes());
        self.blob(&digest, text.as_bytes())?;
        let entry = OciEntry {
            media_type: media_type::OCI_MANIFEST.to_owned(),
            size: text.len() as u64,
            digest,
            annotations: BTreeMap::new(),
            platform: platform(&image.record.config),
        };
        if image.names.is_empty() {
            return Ok(vec![entry]);
        }
        let named = image.names.iter().map(|name| {
            let mut entry = entry.clone();
            let full = (layout::FULL_NAME.to_owned(), name.to_string());
            let tag = name.tag().unwrap_or_default().to_owned();
            entry.annotations = [full, (layout::SHORT_NAME.to_owned(), tag)].into();
            entry
        });
        Ok(named.collect())
    }

    fn finish(
        mut self,
        docker: Vec<DockerItem>,
        manifests: Vec<OciEntry>,
    ) -> Result<(), SaveError> {
        let index = OciIndex {
            schema_version: 2,
            media_type: media_type::OCI_INDEX.to_owned(),
            manifests,
        };
        self.file(layout::OCI_INDEX, json(&index)?.as_bytes())?;
        self.file(layout::DOCKER_MANIFEST, json(&docker)?.as_bytes())?;
        let version = br#"{"imageLayoutVersion":"1.0.0"}"#;
        self.file(layout::OCI_LAYOUT, version)?;
        let mut writer = self.tar.finish().map_err(SaveError::Write)?;
        writer.flush().map_err(SaveError::Write)
    }
}

/// Writes a member of an archive.
fn member<W: Write>(
    tar: &mut TarWriter<W>,
    path: &str,
    size: u64,
    mut content: impl Read,
) -> Result<(), SaveError> {
    let entry = NewEntry {
        path: path.as_bytes(),
        kind: b'0',
        mode: 0o644,
        size,
        ..NewEntry::default()
    };
    tar.entry(&entry).map_err(SaveError::Write)?;
    tar.data(size, &mut content).map_err(SaveError::Write)
}

/// Returns the manifest that an image came with if it is OCI's and names just these layers.
fn fitting(image: &Chosen, layers: &[Descriptor]) -> Option<String> {
    let stored = image.record.manifest.as_ref()?;
    let parsed: ImageManifest = serde_json::from_str(&stored.text).ok()?;
    let same = parsed
        .layers
        .iter()
        .map(|layer| &layer.digest)
        .eq(layers.iter().map(|layer| &layer.digest));
    (stored.media_type == media_type::OCI_MANIFEST && same).then(|| stored.text.clone())
}

fn platform(config: &str) -> Option<OciPlatform> {
    let config: ImageConfiguration = serde_json::from_str(config).ok()?;
    Some(OciPlatform {
        os: config.os,
        architecture: config.architecture,
        variant: config.variant.unwrap_or_default(),
    })
}

fn json(value: &impl Serialize) -> Result<String, SaveError> {
    serde_json::to_string(value).map_err(SaveError::Json)
}
