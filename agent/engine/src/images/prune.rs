//! Removes images that nobody needs.

use std::collections::{BTreeMap, HashMap};
use std::sync::TryLockError;

use berth_agent_images::{Image, ImageId, LookupError, Removed};

use super::filter::{is_before, until};
use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::events::EventKind;
use crate::filters::{FilterArgs, FilterError};
use crate::images::usage::created_seconds;

/// The keys of the filters.
const KEYS: [&str; 4] = ["dangling", "label", "label!", "until"];

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunedImages {
    /// In order, as `rmi` tells.
    pub removed: Vec<Removed>,
    /// Bytes of the layers that are gone.
    pub reclaimed: u64,
}

/// Nothing, or not all, is removed.
#[derive(Debug, thiserror::Error)]
pub enum PruneImagesError {
    /// A filter is wrong.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The images cannot be read.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// Somebody else is at it.
    #[error("a prune operation is already running")]
    Running,
}

/// Which images to remove.
struct Wanted {
    args: FilterArgs,
    only_dangling: bool,
    until: Option<std::time::SystemTime>,
}

impl Wanted {
    fn parse(texts: &[String]) -> Result<Self, FilterError> {
        let args = FilterArgs::parse(texts)?;
        args.validate(&KEYS)?;
        Ok(Self {
            only_dangling: args.truth("dangling", true)?,
            until: until(&args)?,
            args,
        })
    }

    fn includes(&self, image: &Image) -> bool {
        let labels = &image.config.config.labels;
        let is_spared = self.args.contains("label!") && self.args.match_kv_list("label!", labels);
        (!self.only_dangling || image.repo_tags.is_empty())
            && self
                .until
                .is_none_or(|until| is_before(created_seconds(image), until))
            && self.args.match_kv_list("label", labels)
            && !is_spared
    }
}

impl Engine {
    /// Removes the images without a tag, or with the filter `dangling=false` all, that no container
    /// uses and no other image is built upon; and what interrupted pulls have left. Blocks.
    ///
    /// # Errors
    /// When a filter is wrong, the images cannot be read, or while another call is at it.
    pub fn prune_images(&self, filters: &[String]) -> Result<PrunedImages, PruneImagesError> {
        let wanted = Wanted::parse(filters)?;
        let _alone = match self.pruning_images.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(PruneImagesError::Running),
        };
        let before = self.images.layer_sizes()?;
        let images = self.images.list()?;
        let mut n_children: HashMap<ImageId, usize> = HashMap::new();
        for parent in images.iter().filter_map(|image| image.parent.clone()) {
            *n_children.entry(parent).or_default() += 1;
        }
        let mut pruned = PrunedImages::default();
        for image in images {
            // Newest first, so that by now those that were built upon it are gone if they can be.
            let is_needed = n_children.get(&image.id).is_some_and(|n| *n > 0);
            if is_needed || self.n_users_of_image(&image) > 0 || !wanted.includes(&image) {
                continue;
            }
            self.prune_one(&image, &mut pruned.removed);
            let is_gone = self.images.get(&image.id).is_err();
            if let Some(parent) = image.parent.filter(|_parent| is_gone)
                && let Some(n) = n_children.get_mut(&parent)
            {
                *n -= 1;
            }
        }
        if let Err(error) = self.images.gc() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "not all collected"
            );
        }
        pruned.reclaimed = gone(&before, &self.images.layer_sizes()?);
        let attributes = BTreeMap::from([("reclaimed".to_owned(), pruned.reclaimed.to_string())]);
        self.events
            .publish(EventKind::Image, "prune", "", attributes);
        Ok(pruned)
    }

    /// Removes an image by all of its names. One that somebody has just begun to use stays.
    fn prune_one(&self, image: &Image, removed: &mut Vec<Removed>) {
        let id = [image.id.to_string()];
        let names: Vec<&String> = image.repo_tags.iter().chain(&image.repo_digests).collect();
        let names = if names.is_empty() {
            id.iter().collect()
        } else {
            names
        };
        for name in names {
            match self.remove_image(name, false, false) {
                Ok(lines) => removed.extend(lines),
                Err(error) => {
                    // A name by digest goes with the last tag of its repository.
                    if error.class() != ErrorClass::NotFound {
                        tracing::info!(image = name, error = %error, "image stays");
                    }
                }
            }
        }
    }
}

/// Returns the bytes of the layers that are in the first map only.
fn gone(before: &HashMap<String, u64>, after: &HashMap<String, u64>) -> u64 {
    let missing = before.iter().filter(|(id, _)| !after.contains_key(*id));
    missing.map(|(_, size)| size).sum()
}

impl Classified for PruneImagesError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Filter(_) => ErrorClass::InvalidArgument,
            Self::Lookup(error) => error.class(),
            Self::Running => ErrorClass::Conflict,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Filter(_) => "invalid-filter",
            Self::Lookup(error) => error.reason(),
            Self::Running => "prune-running",
        }
    }
}
