//! Pushing: from an image here to one in a registry.

mod error;
mod layer;

use std::sync::Arc;

use berth_agent_snapshots::LayerId;
use berth_agent_state::StateError;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use crate::images::{Inner, blocking};
use crate::records::{BlobRecord, ImageRecord, LayerRecord, ManifestRecord, ReferenceRecord};
use crate::registry::{
    Descriptor, Endpoint, ImageManifest, Manifest, Purpose, Session, media_type,
};
use crate::{Credentials, Digest, ImageId, Images, ProgressSink, Reference, StoreError};

pub use error::PushError;
pub(crate) use layer::Counting;

/// How many layers are sent at the same time.
const UPLOADS: usize = 3;

/// What a push sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The tag.
    pub tag: String,
    /// The digest of the manifest.
    pub digest: Digest,
    /// The size of the manifest.
    pub size_bytes: u64,
}

/// One push.
struct Push<'a> {
    inner: &'a Arc<Inner>,
    session: Session,
    reference: &'a Reference,
    progress: &'a ProgressSink,
}

impl Images {
    /// Pushes the image that the reference points at, under that reference.
    ///
    /// # Errors
    ///
    /// Fails when there is no such image or the registry does not take it.
    pub async fn push(
        &self,
        reference: &Reference,
        credentials: &Credentials,
        progress: &ProgressSink,
    ) -> Result<Pushed, PushError> {
        let reference = reference.clone().with_default_tag();
        let Some(tag) = reference.tag().map(str::to_owned) else {
            return Err(PushError::DigestReference);
        };
        let inner = &self.inner;
        let (id, image) = inner.named(&reference)?;
        let repository = format!("{}/{}", reference.domain(), reference.path());
        progress.status(format!("The push refers to repository [{repository}]"));
        let layers = image.layers();
        let keys = layers
            .iter()
            .map(LayerId::to_string)
            .chain([id.to_string()]);
        let _lease = inner.leases.take(keys);
        let endpoint = Endpoint::of(&reference, &inner.insecure).await;
        let endpoint = endpoint.ok_or_else(|| PushError::NoAddress {
            reference: reference.familiar(),
        })?;
        let sources = inner.other_repositories(&layers, &endpoint.name, reference.path())?;
        let session = Session::open(
            endpoint,
            reference.path(),
            credentials,
            Purpose::Push,
            &sources,
        )
        .await;
        let push = Push {
            inner,
            session: session.map_err(|source| PushError::registry(&reference, source))?,
            reference: &reference,
            progress,
        };
        let result = push.run(&id, image, &layers, &tag).await;
        berth_agent_sys::memory::release_free_memory();
        result
    }
}

impl Push<'_> {
    async fn run(
        &self,
        id: &ImageId,
        image: ImageRecord,
        layers: &[LayerId],
        tag: &str,
    ) -> Result<Pushed, PushError> {
        let fail = |source| PushError::registry(self.reference, source);
        let preferred = self.preferred(&image, layers);
        // Boxed, since the compiler cannot see that a stream over references may change threads.
        let uploads: Vec<_> = layers
            .iter()
            .zip(preferred)
            .map(|(layer, preferred)| self.layer(layer, preferred).boxed())
            .collect();
        let blobs: Vec<BlobRecord> = stream::iter(uploads)
            .buffered(UPLOADS)
            .try_collect()
            .await?;
        let config = id.digest();
        if !self.session.has_blob(config).await.map_err(fail)? {
            let bytes = image.config.as_bytes();
            self.session
                .upload_bytes(config, bytes)
                .await
                .map_err(fail)?;
        }
        let manifest = manifest(&image, id, &blobs)?;
        self.session
            .put_manifest(tag, &manifest)
            .await
            .map_err(fail)?;
        let pushed = Pushed {
            tag: tag.to_owned(),
            digest: manifest.digest.clone(),
            size_bytes: manifest.text.len() as u64,
        };
        self.remember(id, manifest, layers, blobs).await?;
        Ok(pushed)
    }

    /// Returns, for each layer, the compressed form that the image's manifest names.
    fn preferred(&self, image: &ImageRecord, layers: &[LayerId]) -> Vec<Option<Digest>> {
        let stored = image.manifest.as_ref().and_then(read_manifest);
        match stored {
            Some(manifest) if manifest.layers.len() == layers.len() => manifest
                .layers
                .into_iter()
                .map(|blob| Some(blob.digest))
                .collect(),
            _ => vec![None; layers.len()],
        }
    }

    /// Remembers what the registry has now, and the name by digest.
    async fn remember(
        &self,
        id: &ImageId,
        manifest: Manifest,
        layers: &[LayerId],
        blobs: Vec<BlobRecord>,
    ) -> Result<(), PushError> {
        let inner = Arc::clone(self.inner);
        let name = self.reference.with_digest(manifest.digest).to_string();
        let (id, layers) = (id.clone(), layers.to_vec());
        blocking(move || {
            let result = inner.state.write(|writer| {
                for (layer, blob) in layers.iter().zip(blobs) {
                    if let Some(mut record) = writer.get::<LayerRecord>(layer.as_str())? {
                        record.add_blob(blob);
                        writer.put(layer.as_str(), &record)?;
                    }
                }
                let Some(mut image) = writer.get::<ImageRecord>(id.as_str())? else {
                    // It was removed meanwhile; the registry has it all the same.
                    return Ok(());
                };
                image.manifest = Some(ManifestRecord {
                    media_type: manifest.media_type,
                    text: manifest.text,
                });
                writer.put(id.as_str(), &image)?;
                writer.put(&name, &ReferenceRecord { image: id.clone() })
            });
            result.map_err(|error: StateError| PushError::from(StoreError::from(error)))
        })
        .await
    }
}

impl Inner {
    fn named(&self, reference: &Reference) -> Result<(ImageId, ImageRecord), PushError> {
        let found = self.state.read(|reader| {
            let Some(name) = reader.get::<ReferenceRecord>(&reference.to_string())? else {
                return Ok(None);
            };
            let image = reader.get::<ImageRecord>(name.image.as_str())?;
            Ok::<_, StateError>(image.map(|image| (name.image, image)))
        });
        found
            .map_err(StoreError::from)?
            .ok_or_else(|| PushError::NoSuchImage {
                reference: reference.familiar(),
            })
    }

    /// Returns other repositories of the registry that have some of the layers.
    fn other_repositories(
        &self,
        layers: &[LayerId],
        registry: &str,
        own: &str,
    ) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        for layer in layers {
            let record = self.present_layer(layer)?.unwrap_or_default();
            for repository in record.blobs.iter().flat_map(|blob| &blob.repositories) {
                if let Some((name, path)) = repository.split_once('/')
                    && name == registry
                    && path != own
                    && !found.iter().any(|known| known == path)
                {
                    found.push(path.to_owned());
                }
            }
        }
        Ok(found)
    }
}

/// Returns the manifest that the image came with if it still fits, or a new one.
fn manifest(
    image: &ImageRecord,
    id: &ImageId,
    blobs: &[BlobRecord],
) -> Result<Manifest, PushError> {
    if let Some(stored) = &image.manifest
        && let Some(parts) = read_manifest(stored)
        && parts
            .layers
            .iter()
            .map(|layer| &layer.digest)
            .eq(blobs.iter().map(|blob| &blob.digest))
    {
        return Ok(Manifest {
            digest: Digest::of(stored.text.as_bytes()),
            media_type: stored.media_type.clone(),
            text: stored.text.clone(),
        });
    }
    // Docker's own form is understood everywhere, but it has no name for newer compressions.
    let is_docker = blobs.iter().all(|blob| {
        matches!(
            blob.media_type.as_str(),
            media_type::DOCKER_LAYER | media_type::OCI_LAYER
        )
    });
    let (own, config) = if is_docker {
        (media_type::DOCKER_MANIFEST, media_type::DOCKER_CONFIG)
    } else {
        (media_type::OCI_MANIFEST, media_type::OCI_CONFIG)
    };
    let layers = blobs.iter().map(|blob| {
        let kind = match blob.media_type.as_str() {
            media_type::OCI_LAYER if is_docker => media_type::DOCKER_LAYER,
            media_type::DOCKER_LAYER if !is_docker => media_type::OCI_LAYER,
            other => other,
        };
        Descriptor::new(kind, blob.digest.clone(), blob.size)
    });
    let parts = ImageManifest {
        schema_version: 2,
        media_type: own.to_owned(),
        config: Descriptor::new(config, id.digest().clone(), image.config.len() as u64),
        layers: layers.collect(),
    };
    let text = serde_json::to_string_pretty(&parts).map_err(PushError::Manifest)?;
    Ok(Manifest {
        digest: Digest::of(text.as_bytes()),
        media_type: own.to_owned(),
        text,
    })
}

fn read_manifest(record: &ManifestRecord) -> Option<ImageManifest> {
    serde_json::from_str(&record.text).ok()
}
