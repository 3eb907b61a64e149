//! What the database remembers about images.

use berth_agent_snapshots::LayerId;
use berth_agent_state::Record;
use serde::{Deserialize, Serialize};

use crate::{Digest, ImageId};

/// An image, by its id. Its layers are in the configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    /// The configuration document, byte for byte.
    pub(crate) config: String,
    /// The manifest that it was pulled or pushed with.
    pub(crate) manifest: Option<ManifestRecord>,
    pub(crate) parent: Option<ImageId>,
}

/// A manifest, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ManifestRecord {
    pub(crate) media_type: String,
    pub(crate) text: String,
}

/// An unpacked layer, by its diff id.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    /// Sum of the sizes of its files.
    pub(crate) size: u64,
    /// Its known compressed forms; the files may be gone, the digests stay right.
    pub(crate) blobs: Vec<BlobRecord>,
    /// The boot in which it was unpacked, until it is known to be on the disk. After a power cut
    /// the layer cannot be trusted when this is another boot.
    pub(crate) unsettled: Option<String>,
}

/// A compressed form of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlobRecord {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) size: u64,
    /// Repositories (`registry/path`) known to have it, the latest last.
    pub(crate) repositories: Vec<String>,
}

/// What a full reference points at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReferenceRecord {
    pub(crate) image: ImageId,
}

/// Written with the removal of an image and taken away when its layers and content are gone: a killed
/// agent's successor then knows that there is something to collect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GarbageRecord {}

impl GarbageRecord {
    /// The only key.
    pub(crate) const KEY: &'static str = "removed-images";
}

impl Record for GarbageRecord {
    const TABLE: &'static str = "image-garbage";
    const VERSION: u32 = 1;
}

impl Record for ImageRecord {
    const TABLE: &'static str = "images";
    const VERSION: u32 = 1;
}

impl Record for LayerRecord {
    const TABLE: &'static str = "layers";
    const VERSION: u32 = 1;
}

impl Record for ReferenceRecord {
    const TABLE: &'static str = "references";
    const VERSION: u32 = 1;
}

/// How many repositories a blob's record remembers; mounting needs only one that still has it.
const MAX_REPOSITORIES: usize = 8;

impl LayerRecord {
    /// Adds a compressed form, or what is new about a known one.
    pub(crate) fn add_blob(&mut self, blob: BlobRecord) {
        let Some(known) = self
            .blobs
            .iter_mut()
            .find(|known| known.digest == blob.digest)
        else {
            self.blobs.push(blob);
            return;
        };
        for repository in blob.repositories {
            known.repositories.retain(|other| *other != repository);
            known.repositories.push(repository);
        }
        let surplus = known.repositories.len().saturating_sub(MAX_REPOSITORIES);
        known.repositories.drain(..surplus);
    }
}

/// The configuration as far as the store needs it, which must stay readable whatever else is in it.
#[derive(Debug, Deserialize)]
pub(crate) struct Layers {
    rootfs: RootFsLayers,
}

#[derive(Debug, Deserialize)]
struct RootFsLayers {
    #[serde(default)]
    diff_ids: Option<Vec<LayerId>>,
}

impl ImageRecord {
    /// Returns the layers, bottom first; none when the stored configuration is damaged.
    pub(crate) fn layers(&self) -> Vec<LayerId> {
        match serde_json::from_str::<Layers>(&self.config) {
            Ok(layers) => layers.rootfs.diff_ids.unwrap_or_default(),
            Err(error) => {
                tracing::error!(%error, "a stored image configuration cannot be read");
                Vec::new()
            }
        }
    }
}
