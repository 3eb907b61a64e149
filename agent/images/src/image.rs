//! An image as its users see it.

use std::fmt;
use std::str::FromStr;

use berth_agent_snapshots::LayerId;
use serde::{Deserialize, Serialize};

use crate::{Digest, ImageConfiguration, ParseDigestError};

/// The name of an image: the digest of its configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(Digest);

/// An image on this machine.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// What to run and how, with its history; fields that nobody here knows are kept.
    pub config: ImageConfiguration,
    /// The layers, bottom first.
    pub layers: Vec<LayerId>,
    /// Sum of the sizes of the files in the layers.
    pub size: u64,
    /// Familiar names with tags, sorted.
    pub repo_tags: Vec<String>,
    /// Familiar names with digests, sorted.
    pub repo_digests: Vec<String>,
    /// The image that it was built from, where that is here.
    pub parent: Option<ImageId>,
}

/// A line of what removing an image did, in Docker's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name is gone.
    Untagged(String),
    /// An image or a chain of layers is gone.
    Deleted(String),
}

/// One container that uses an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUse {
    /// The container's id.
    pub container: String,
    /// Whether it runs, which force does not overrule.
    pub running: bool,
}

impl ImageId {
    /// Returns the id of the image with this configuration digest.
    #[must_use]
    pub fn new(digest: Digest) -> Self {
        Self(digest)
    }

    /// Returns the digest of the configuration.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.0
    }

    /// Returns the whole id with `sha256:`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the first twelve hexadecimal digits.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.short()
    }
}

impl FromStr for ImageId {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
