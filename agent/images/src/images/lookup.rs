//! Finding, listing and naming images.

use std::collections::{BTreeMap, HashMap};

use berth_agent_snapshots::LayerId;
use berth_agent_state::{Reader, StateError};

use super::Images;
use crate::leases::KeptLayers;
use crate::records::{ImageRecord, LayerRecord, ReferenceRecord};
use crate::{
    AnyReference, ErrorKind, Image, ImageConfiguration, ImageId, ParseReferenceError, Reference,
    StoreError,
};

/// The reasons why an image cannot be found, listed or named.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// Nothing has this name or id.
    #[error("No such image: {name}")]
    NoSuchImage {
        /// What was asked for.
        name: String,
    },
    /// Several ids begin like this.
    #[error("several images have ids that begin with {prefix}")]
    Ambiguous {
        /// What was asked for.
        prefix: String,
    },
    /// The text is no name.
    #[error(transparent)]
    Reference(#[from] ParseReferenceError),
    /// A name with a digest cannot be given to an image.
    #[error("refusing to create a tag with a digest reference")]
    DigestAsTag,
    /// The stored configuration cannot be read.
    #[error("the configuration of image {id} cannot be read")]
    Configuration {
        /// The image.
        id: ImageId,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The configuration tells of more layers than the image has.
    #[error("too many non-empty layers in the history of image {id}")]
    History {
        /// The image.
        id: ImageId,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LookupError {
    /// Returns what kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSuchImage { .. } => ErrorKind::NotFound,
            Self::Ambiguous { .. } | Self::Reference(_) | Self::DigestAsTag => ErrorKind::Invalid,
            Self::Configuration { .. } | Self::History { .. } => ErrorKind::Internal,
            Self::Store(source) => source.kind(),
        }
    }
}

impl From<StateError> for LookupError {
    fn from(error: StateError) -> Self {
        Self::Store(error.into())
    }
}

impl Images {
    /// Finds the image that a user means: by name, id, or unique beginning of an id.
    ///
    /// # Errors
    ///
    /// Fails when there is none, or when several ids begin so.
    pub fn resolve(&self, name: &str) -> Result<ImageId, LookupError> {
        self.inner.state.read(|reader| resolve(reader, name))
    }

    /// Returns an image.
    ///
    /// # Errors
    ///
    /// Fails when there is none with this id.
    pub fn get(&self, id: &ImageId) -> Result<Image, LookupError> {
        self.inner.state.read(|reader| {
            let record = reader.get::<ImageRecord>(id.as_str())?;
            let record = record.ok_or_else(|| no_such(id.as_str()))?;
            let mut sizes = HashMap::new();
            for layer in record.layers() {
                let layer_record = reader.get::<LayerRecord>(layer.as_str())?;
                sizes.insert(
                    String::from(layer),
                    layer_record.map_or(0, |record| record.size),
                );
            }
            let names = names_by_image(reader)?;
            image(id.clone(), record, &sizes, &names)
        })
    }

    /// Keeps layers from being removed although no image refers to them.
    #[must_use]
    pub fn keep(&self, layers: &[LayerId]) -> KeptLayers {
        KeptLayers {
            _lease: self.inner.leases.take(layers),
        }
    }

    /// Returns an image whose layers stay as long as what is returned with it, also when the image is
    /// removed.
    ///
    /// # Errors
    ///
    /// Fails when there is none with this id.
    pub fn get_and_keep(&self, id: &ImageId) -> Result<(Image, KeptLayers), LookupError> {
        let layers = self.get(id)?.layers;
        let lease = self.inner.leases.take(&layers);
        // Read again: it may have been removed before the lease.
        Ok((self.get(id)?, KeptLayers { _lease: lease }))
    }

    /// Returns all images, newest first.
    ///
    /// # Errors
    ///
    /// Fails when the database cannot be read.
    pub fn list(&self) -> Result<Vec<Image>, LookupError> {
        let mut images: Vec<Image> = self.inner.state.read(|reader| {
            let sizes: HashMap<String, u64> = reader
                .list::<LayerRecord>()?
                .into_iter()
                .map(|(id, record)| (id, record.size))
                .collect();
            let names = names_by_image(reader)?;
            let mut images = Vec::new();
            for (id, record) in reader.list::<ImageRecord>()? {
                if let Ok(id) = id.parse() {
                    images.push(image(id, record, &sizes, &names)?);
                }
            }
            Ok::<_, LookupError>(images)
        })?;
        images.sort_by(|a, b| {
            b.config
                .created
                .cmp(&a.config.created)
                .then(a.id.cmp(&b.id))
        });
        Ok(images)
    }

    /// Points a reference (with `latest` by default) at an image.
    ///
    /// # Errors
    ///
    /// Fails when there is no such image, or when the reference has a digest.
    pub fn tag(&self, id: &ImageId, reference: &Reference) -> Result<(), LookupError> {
        if reference.digest().is_some() {
            return Err(LookupError::DigestAsTag);
        }
        let name = reference.clone().with_default_tag().to_string();
        self.inner.state.write(|writer| {
            if writer.get::<ImageRecord>(id.as_str())?.is_none() {
                return Err(no_such(id.as_str()));
            }
            writer.put(&name, &ReferenceRecord { image: id.clone() })?;
            Ok(())
        })
    }
}

/// The references of every image, in full.
type Names = BTreeMap<ImageId, Vec<Reference>>;

pub(crate) fn resolve(reader: &Reader, name: &str) -> Result<ImageId, LookupError> {
    let shown = match AnyReference::parse(name) {
        Ok(AnyReference::Digest(digest)) => {
            let id = ImageId::new(digest);
            if reader.get::<ImageRecord>(id.as_str())?.is_some() {
                return Ok(id);
            }
            return Err(no_such(name));
        }
        Ok(AnyReference::Named(reference)) => {
            let reference = reference.definite();
            if let Some(record) = reader.get::<ReferenceRecord>(&reference.to_string())? {
                return Ok(record.image);
            }
            reference.familiar()
        }
        Err(error) => return Err(error.into()),
    };
    by_prefix(reader, name)?.ok_or_else(|| no_such(&shown))
}

/// Tells whether a text is the beginning of this id.
pub(super) fn is_prefix_of(text: &str, id: &ImageId) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    !hex.is_empty() && id.digest().hex().starts_with(hex)
}

fn by_prefix(reader: &Reader, text: &str) -> Result<Option<ImageId>, LookupError> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    if hex.is_empty() || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let found = reader.prefix::<ImageRecord>(&format!("sha256:{hex}"))?;
    match found.as_slice() {
        [] => Ok(None),
        [(id, _record)] => Ok(id.parse().ok()),
        _several => Err(LookupError::Ambiguous {
            prefix: text.to_owned(),
        }),
    }
}

fn no_such(name: &str) -> LookupError {
    LookupError::NoSuchImage {
        name: name.to_owned(),
    }
}

pub(super) fn names_by_image(reader: &Reader) -> Result<Names, StateError> {
    let mut names = Names::new();
    for (name, record) in reader.list::<ReferenceRecord>()? {
        if let Ok(reference) = Reference::parse(&name) {
            names.entry(record.image).or_default().push(reference);
        }
    }
    Ok(names)
}

fn image(
    id: ImageId,
    record: ImageRecord,
    sizes: &HashMap<String, u64>,
    names: &Names,
) -> Result<Image, LookupError> {
    let layers = record.layers();
    let config: ImageConfiguration = match serde_json::from_str(&record.config) {
        Ok(config) => config,
        Err(source) => return Err(LookupError::Configuration { id, source }),
    };
    let (digests, tags): (Vec<_>, Vec<_>) = names
        .get(&id)
        .into_iter()
        .flatten()
        .partition(|reference| reference.digest().is_some());
    let familiar = |references: Vec<&Reference>| {
        let mut texts: Vec<String> = references.into_iter().map(Reference::familiar).collect();
        texts.sort_unstable();
        texts
    };
    Ok(Image {
        size: layers
            .iter()
            .filter_map(|layer| sizes.get(layer.as_str()))
            .sum(),
        repo_tags: familiar(tags),
        repo_digests: familiar(digests),
        parent: record.parent,
        id,
        config,
        layers,
    })
}
