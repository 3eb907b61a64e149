//! Pulling: from a reference to an image that can be run.

mod error;
mod layer;

use std::collections::BTreeSet;
use std::sync::Arc;

use berth_agent_snapshots::LayerId;
use berth_agent_state::StateError;
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::images::{Inner, blocking};
use crate::leases::Lease;
use crate::progress::LayerPhase;
use crate::records::{ImageRecord, LayerRecord, ManifestRecord, ReferenceRecord};
use crate::registry::{
    Descriptor, Endpoint, ImageManifest, Manifest, Purpose, Session, media_type,
};
use crate::{
    Credentials, Digest, ErrorKind, ImageConfiguration, ImageId, Images, Platform, ProgressSink,
    Reference, StoreError,
};

pub use error::PullError;
use layer::LayerPull;

/// How deep lists of manifests may be nested; one is usual.
const MAX_NESTING: usize = 3;

/// More layers than overlayfs can stack are not even fetched; Docker's number.
const MAX_LAYERS: usize = 125;

/// What a pull brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The image.
    pub image_id: ImageId,
    /// The digest of what the registry answered with: a manifest or a list of them.
    pub digest: Digest,
    /// The reference that points at the image now, in full.
    pub reference: Reference,
    /// False when it pointed there before.
    pub newer: bool,
}

/// One pull from one endpoint.
struct Pull<'a> {
    inner: &'a Arc<Inner>,
    session: Session,
    reference: &'a Reference,
    platform: Option<&'a Platform>,
    progress: &'a ProgressSink,
}

/// A configuration with what its bytes mean.
struct Configuration {
    text: String,
    layers: Vec<LayerId>,
}

impl Images {
    /// Pulls an image and points the reference at it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future keeps the finished layers and what has arrived of the others, which the
    /// next pull of the same content takes up.
    ///
    /// # Errors
    ///
    /// Fails without having changed what the reference points at. When the disk is full, what the
    /// pull had brought so far is removed again.
    pub async fn pull(
        &self,
        reference: &Reference,
        credentials: &Credentials,
        platform: Option<&Platform>,
        progress: &ProgressSink,
    ) -> Result<Pulled, PullError> {
        let reference = reference.clone().definite();
        let result = self
            .pull_anywhere(&reference, credentials, platform, progress)
            .await;
        if matches!(&result, Err(error) if error.kind() == ErrorKind::DiskFull) {
            let inner = Arc::clone(&self.inner);
            if let Err(error) = blocking(move || inner.collect()).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the disk stays full"
                );
            }
        }
        self.inner.settle_soon();
        berth_agent_sys::memory::release_free_memory();
        result
    }

    async fn pull_anywhere(
        &self,
        reference: &Reference,
        credentials: &Credentials,
        platform: Option<&Platform>,
        progress: &ProgressSink,
    ) -> Result<Pulled, PullError> {
        let inner = &self.inner;
        let mut endpoints = Vec::new();
        if reference.domain() == "docker.io" {
            for mirror in &inner.mirrors {
                endpoints.extend(Endpoint::mirror(mirror, &inner.insecure).await);
            }
        }
        let n_mirrors = endpoints.len();
        endpoints.extend(Endpoint::of(reference, &inner.insecure).await);
        let name = reference
            .tag()
            .map_or_else(|| reference.to_string(), str::to_owned);
        progress.status(format!("{name}: Pulling from {}", reference.path()));
        for (index, endpoint) in endpoints.into_iter().enumerate() {
            let is_mirror = index < n_mirrors;
            // A mirror is not who the credentials are for.
            let nobody = Credentials::default();
            let credentials = if is_mirror { &nobody } else { credentials };
            let result = async {
                let repository = reference.path();
                let session =
                    Session::open(endpoint, repository, credentials, Purpose::Pull, &[]).await?;
                let pull = Pull {
                    inner,
                    session,
                    reference,
                    platform,
                    progress,
                };
                pull.run().await
            }
            .await;
            match result {
                Err(PullError::Registry { source, .. }) if is_mirror => {
                    tracing::info!(
                        error = &source as &dyn std::error::Error,
                        "a mirror does not help"
                    );
                }
                result => return result,
            }
        }
        Err(PullError::NoAddress {
            reference: reference.familiar(),
        })
    }
}

impl Pull<'_> {
    async fn run(&self) -> Result<Pulled, PullError> {
        let (answered, manifest) = self.manifest().await?;
        let parts = manifest.image().map_err(|source| PullError::Malformed {
            what: "manifest",
            digest: manifest.digest.clone(),
            source,
        })?;
        check_kind(&parts)?;
        let id = ImageId::new(parts.config.digest.clone());
        let config = self.configuration(&parts.config).await?;
        if config.layers.len() != parts.layers.len() {
            return Err(PullError::LayerCount {
                image: id,
                n_manifest: parts.layers.len(),
                n_config: config.layers.len(),
            });
        }
        if config.layers.len() > MAX_LAYERS {
            return Err(PullError::TooManyLayers { image: id });
        }
        let keys = parts.layers.iter().map(|layer| layer.digest.to_string());
        let keys = keys.chain(config.layers.iter().map(LayerId::to_string));
        let lease = Arc::new(self.inner.leases.take(keys));
        self.layers(&parts.layers, &config.layers, &lease).await?;
        let record = ImageRecord {
            config: config.text,
            manifest: Some(ManifestRecord {
                media_type: manifest.media_type,
                text: manifest.text,
            }),
            parent: None,
        };
        self.finish(id, record, answered, (&config.layers, lease))
            .await
    }

    /// Returns the digest of what the reference means, and the manifest of the one image in it.
    async fn manifest(&self) -> Result<(Digest, Manifest), PullError> {
        let reference = self.reference;
        let name = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let mut manifest = self.fetch(&name, reference.digest()).await?;
        let answered = manifest.digest.clone();
        let host = Platform::host();
        let platform = self.platform.unwrap_or(&host);
        for _level in 0..MAX_NESTING {
            if manifest.is_image() {
                return Ok((answered, manifest));
            }
            if !manifest.is_list() {
                break;
            }
            let chosen = manifest
                .choose(platform)
                .map_err(|source| PullError::Malformed {
                    what: "manifest list",
                    digest: manifest.digest.clone(),
                    source,
                })?;
            let chosen = chosen.ok_or_else(|| PullError::NoPlatform {
                platform: platform.clone(),
            })?;
            manifest = self
                .fetch(chosen.digest.as_str(), Some(&chosen.digest))
                .await?;
        }
        Err(PullError::UnsupportedKind {
            media_type: manifest.media_type,
        })
    }

    async fn fetch(&self, name: &str, expected: Option<&Digest>) -> Result<Manifest, PullError> {
        let fail = |source| PullError::registry(self.reference, source);
        let manifest = self.session.manifest(name).await.map_err(fail)?;
        match expected {
            Some(expected) if *expected != manifest.digest => Err(PullError::DigestMismatch {
                expected: expected.clone(),
                actual: manifest.digest,
            }),
            _ => Ok(manifest),
        }
    }

    async fn configuration(&self, descriptor: &Descriptor) -> Result<Configuration, PullError> {
        let digest = &descriptor.digest;
        let known = self
            .inner
            .state
            .read(|reader| reader.get::<ImageRecord>(digest.as_str()));
        let bytes = match known.map_err(StoreError::from)? {
            Some(record) => record.config.into_bytes(),
            None => self.session.small_blob(digest).await?,
        };
        let actual = Digest::of(&bytes);
        if actual != *digest {
            return Err(PullError::DigestMismatch {
                expected: digest.clone(),
                actual,
            });
        }
        let config: ImageConfiguration =
            serde_json::from_slice(&bytes).map_err(|source| PullError::Malformed {
                what: "image configuration",
                digest: digest.clone(),
                source,
            })?;
        // Well-formed JSON is text; the bytes must stay what the digest is of.
        let text = String::from_utf8(bytes).map_err(|_not_text| PullError::UnsupportedKind {
            media_type: descriptor.media_type.clone(),
        })?;
        if let Some(wanted) = self.platform {
            let actual = Platform {
                os: config.os,
                architecture: config.architecture,
                variant: config.variant.unwrap_or_default(),
            };
            if wanted.suitability(&actual).is_none() {
                return Err(PullError::WrongPlatform {
                    reference: self.reference.familiar(),
                    wanted: Box::new(wanted.clone()),
                    actual: Box::new(actual),
                });
            }
        }
        Ok(Configuration {
            text,
            layers: config.rootfs.diff_ids,
        })
    }

    /// Gets all layers. When one fails the others stop, and all have cleaned up on return.
    async fn layers(
        &self,
        blobs: &[Descriptor],
        layers: &[LayerId],
        lease: &Arc<Lease>,
    ) -> Result<(), PullError> {
        let cancel = CancellationToken::new();
        // Whoever drops this future stops the threads as well.
        let _stop = cancel.clone().drop_guard();
        let pulls = blobs.iter().zip(layers).map(|(blob, layer)| {
            let cancel = &cancel;
            async move {
                let progress = self.progress.layer(&blob.digest);
                progress.report(LayerPhase::Waiting, 0, blob.size);
                let pull = LayerPull {
                    inner: self.inner,
                    session: &self.session,
                    blob,
                    layer,
                    lease,
                    progress,
                    cancel,
                };
                let result = pull.run().await;
                if result.is_err() {
                    cancel.cancel();
                }
                result
            }
        });
        let mut failures = join_all(pulls).await.into_iter().filter_map(Result::err);
        // Those that were stopped by another's failure do not say anything.
        let Some(mut failure) = failures.next() else {
            return Ok(());
        };
        for other in failures {
            if failure.is_cancelled() {
                failure = other;
            }
        }
        Err(failure)
    }

    /// Makes the image visible, in one transaction.
    async fn finish(
        &self,
        image_id: ImageId,
        record: ImageRecord,
        digest: Digest,
        (layers, lease): (&[LayerId], Arc<Lease>),
    ) -> Result<Pulled, PullError> {
        let reference = self.reference.clone();
        let inner = Arc::clone(self.inner);
        let layers: BTreeSet<String> = layers.iter().map(LayerId::to_string).collect();
        blocking(move || {
            // Held here and not by the future, which may be dropped while this goes on.
            let _lease = lease;
            let points_at = ReferenceRecord {
                image: image_id.clone(),
            };
            let newer = inner.state.write(|writer| {
                debug_assert!(
                    layers
                        .iter()
                        .all(|layer| { matches!(writer.get::<LayerRecord>(layer), Ok(Some(_))) })
                );
                let name = reference.to_string();
                let before = writer.get::<ReferenceRecord>(&name)?;
                let mut record = record;
                if let Some(known) = writer.get::<ImageRecord>(image_id.as_str())? {
                    record.parent = known.parent;
                }
                writer.put(image_id.as_str(), &record)?;
                writer.put(&name, &points_at)?;
                writer.put(
                    &reference.with_digest(digest.clone()).to_string(),
                    &points_at,
                )?;
                Ok::<_, StateError>(before.is_none_or(|before| before != points_at))
            });
            Ok(Pulled {
                newer: newer.map_err(StoreError::from)?,
                image_id,
                digest,
                reference,
            })
        })
        .await
    }
}

/// Refuses what is no container image, such as a chart.
fn check_kind(manifest: &ImageManifest) -> Result<(), PullError> {
    let known = [media_type::DOCKER_CONFIG, media_type::OCI_CONFIG];
    if known.contains(&manifest.config.media_type.as_str()) {
        return Ok(());
    }
    Err(PullError::UnsupportedKind {
        media_type: manifest.config.media_type.clone(),
    })
}
