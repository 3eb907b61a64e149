//! The two ways in which archives of images describe what is in them: Docker's `manifest.json` and the
//! OCI image layout. What is written here has both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// Docker's list of images.
pub(crate) const DOCKER_MANIFEST: &str = "manifest.json";
/// The OCI layout's list of images.
pub(crate) const OCI_INDEX: &str = "index.json";
/// Says that there is an OCI layout.
pub(crate) const OCI_LAYOUT: &str = "oci-layout";
/// A layer that is not compressed.
pub(crate) const PLAIN_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// A layer compressed with Zstandard.
pub(crate) const ZSTD_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// The whole name of an image, by containerd's and Docker's agreement.
pub(crate) const FULL_NAME: &str = "io.containerd.image.name";
/// The name of an image, or its tag alone.
pub(crate) const SHORT_NAME: &str = "org.opencontainers.image.ref.name";

/// One image of Docker's list.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DockerItem {
    pub(crate) config: String,
    #[serde(default)]
    pub(crate) repo_tags: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) layers: Option<Vec<String>>,
}

/// One entry of the OCI layout's list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OciEntry {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<OciPlatform>,
}

/// What an entry is for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct OciPlatform {
    #[serde(default)]
    pub(crate) os: String,
    #[serde(default)]
    pub(crate) architecture: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) variant: String,
}

/// The OCI layout's list, or a list that one of its entries is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OciIndex {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) media_type: String,
    pub(crate) manifests: Vec<OciEntry>,
}

/// Returns the path of content in an archive.
pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}
