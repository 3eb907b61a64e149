//! Manifests: the lists of what an image is made of.

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde::{Deserialize, Serialize};

use super::session::read_limited;
use super::{RegistryError, Session};
use crate::{Digest, Platform};

/// Names of formats.
pub(crate) mod media_type {
    pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    pub(crate) const DOCKER_LIST: &str =
        "application/vnd.docker.distribution.manifest.list.v2+json";
    pub(crate) const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    pub(crate) const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
}

/// The longest manifest or configuration that is read; Docker's limit as well.
const MAX_MANIFEST: usize = 4 << 20;

/// The name, size and kind of some content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) size: u64,
    pub(crate) digest: Digest,
    #[serde(default, skip_serializing)]
    platform: Option<DescriptorPlatform>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct DescriptorPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: String,
}

/// The manifest of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImageManifest {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

/// What a registry answered with, checked against its digest.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) text: String,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            size,
            digest,
            platform: None,
        }
    }
}

impl Manifest {
    pub(crate) fn is_list(&self) -> bool {
        matches!(
            self.media_type.as_str(),
            media_type::DOCKER_LIST | media_type::OCI_INDEX
        )
    }

    pub(crate) fn is_image(&self) -> bool {
        matches!(
            self.media_type.as_str(),
            media_type::DOCKER_MANIFEST | media_type::OCI_MANIFEST
        )
    }

    /// Reads the manifest of one image.
    pub(crate) fn image(&self) -> Result<ImageManifest, serde_json::Error> {
        serde_json::from_str(&self.text)
    }

    /// Returns the platforms of a list's entries.
    pub(crate) fn platforms(&self) -> Result<Vec<Platform>, serde_json::Error> {
        let index: Index = serde_json::from_str(&self.text)?;
        let entries = index.manifests.into_iter();
        let platforms = entries.filter_map(|entry| entry.platform);
        Ok(platforms
            .map(|platform| Platform {
                os: platform.os,
                architecture: platform.architecture,
                variant: platform.variant,
            })
            .collect())
    }

    /// Returns the entry of a list that suits the platform best.
    pub(crate) fn choose(
        &self,
        wanted: &Platform,
    ) -> Result<Option<Descriptor>, serde_json::Error> {
        let index: Index = serde_json::from_str(&self.text)?;
        let mut best: Option<(u32, Descriptor)> = None;
        for descriptor in index.manifests {
            let Some(offered) = &descriptor.platform else {
                continue;
            };
            let offered = Platform {
                os: offered.os.clone(),
                architecture: offered.architecture.clone(),
                variant: offered.variant.clone(),
            };
            // The first of equals, as Docker does.
            if let Some(suitability) = wanted.suitability(&offered)
                && best.as_ref().is_none_or(|(best, _)| suitability > *best)
            {
                best = Some((suitability, descriptor));
            }
        }
        Ok(best.map(|(_, descriptor)| descriptor))
    }
}

impl Session {
    /// Fetches a manifest by tag or digest.
    pub(crate) async fn manifest(&self, name: &str) -> Result<Manifest, RegistryError> {
        let address = self.address(&format!("manifests/{name}"))?;
        let accept = [
            media_type::OCI_INDEX,
            media_type::DOCKER_LIST,
            media_type::OCI_MANIFEST,
            media_type::DOCKER_MANIFEST,
        ]
        .join(", ");
        let response = self
            .send_patiently(|client| client.get(address.clone()).header(ACCEPT, &accept))
            .await?;
        if response.status() != StatusCode::OK {
            return Err(self.refusal(response).await);
        }
        let header = response.headers().get(CONTENT_TYPE);
        let header = header
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let announced = header
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned();
        let body = read_limited(self.registry(), response, MAX_MANIFEST).await?;
        let digest = Digest::of(&body);
        let text =
            String::from_utf8(body).map_err(|_not_text| self.wrong("its manifest is not text"))?;
        Ok(Manifest {
            digest,
            media_type: kind(&text, announced),
            text,
        })
    }

    /// Fetches a small blob as a whole. The caller compares the digest.
    pub(crate) async fn small_blob(&self, digest: &Digest) -> Result<Vec<u8>, RegistryError> {
        let address = self.address(&format!("blobs/{digest}"))?;
        let mut attempt = 1;
        loop {
            let response = self
                .send_patiently(|client| client.get(address.clone()))
                .await?;
            if response.status() != StatusCode::OK {
                return Err(self.refusal(response).await);
            }
            match read_limited(self.registry(), response, MAX_MANIFEST).await {
                Err(error) if error.is_passing() && attempt < 4 => {
                    super::session::pause(attempt).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }
}

/// Returns what the document says it is; some servers announce only "JSON".
fn kind(text: &str, announced: String) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        media_type: Option<String>,
        schema_version: Option<u32>,
        manifests: Option<serde::de::IgnoredAny>,
        layers: Option<serde::de::IgnoredAny>,
    }
    let Ok(kind) = serde_json::from_str::<Kind>(text) else {
        return announced;
    };
    match kind {
        Kind {
            media_type: Some(own),
            ..
        } if !own.is_empty() => own,
        _ if announced.contains("manifest") || announced.contains("index") => announced,
        Kind {
            schema_version: Some(2),
            manifests: Some(_),
            ..
        } => media_type::OCI_INDEX.to_owned(),
        Kind {
            schema_version: Some(2),
            layers: Some(_),
            ..
        } => media_type::OCI_MANIFEST.to_owned(),
        _ => announced,
    }
}
