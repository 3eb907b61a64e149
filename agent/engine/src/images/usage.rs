//! Use cases about images in which containers have a say: inspecting and removing.

use std::collections::HashSet;
use std::sync::PoisonError;

use berth_agent_images::{
    HistoryStep, Image, ImageId, ImageUse, LookupError, RemoveError, Removed,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::filters::FilterError;
use crate::images::filter::ImageFilters;
use crate::view::info::go_architecture;

/// Images cannot be listed so.
#[derive(Debug, thiserror::Error)]
pub enum ListImagesError {
    /// A filter is wrong.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The images cannot be read, or one that a filter names does not exist.
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

impl Engine {
    /// Removes a name or an image unless containers use it. Blocks while trees are deleted.
    ///
    /// # Errors
    /// When there is no such image or it is used.
    pub fn remove_image(
        &self,
        name: &str,
        force: bool,
        keep_parents: bool,
    ) -> Result<Vec<Removed>, RemoveError> {
        let _no_creation = self
            .image_use
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let before = self.images.resolve(name).ok().map(|id| id.to_string());
        let images: HashSet<String> = self.images.list().map_or_else(
            |_unreadable| HashSet::new(),
            |images| images.iter().map(|image| image.id.to_string()).collect(),
        );
        let removed = self.images.remove(name, force, keep_parents, &|id| {
            self.users_of_image(id.as_str())
                .iter()
                .map(|container| ImageUse {
                    container: container.id().to_string(),
                    running: container.phase().is_alive(),
                })
                .collect()
        })?;
        for line in &removed {
            match line {
                Removed::Untagged(_name) => {
                    let id = before.as_deref().unwrap_or_default();
                    self.image_event("untag", id, id);
                }
                // Layers are told to the caller only.
                Removed::Deleted(id) if images.contains(id) => self.image_event("delete", id, id),
                Removed::Deleted(_layer) => {}
            }
        }
        Ok(removed)
    }

    /// Lists images, newest first.
    ///
    /// # Errors
    /// When a filter is wrong or the images cannot be read.
    pub fn list_images(
        &self,
        filters: &[String],
        reference: &str,
        all: bool,
    ) -> Result<Vec<Image>, ListImagesError> {
        let filters = ImageFilters::parse(filters, reference)?;
        // By the fractions of seconds too: images are made quickly.
        let oldest = self.created_of(filters.bounds("before"))?.into_iter().min();
        let newest = self.created_of(filters.bounds("since"))?.into_iter().max();
        let mut images = self.images.list()?;
        let parents = parents(&images);
        images.retain_mut(|image| {
            let created = created(image);
            let is_step = !all && is_step(image, &parents);
            oldest.is_none_or(|bound| created < bound)
                && newest.is_none_or(|bound| created > bound)
                && filters.select(image, created.unix_timestamp(), is_step)
        });
        Ok(images)
    }

    /// Returns all images but those that are only steps of builds.
    pub(crate) fn shown_images(&self) -> Result<Vec<Image>, LookupError> {
        let mut images = self.images.list()?;
        let parents = parents(&images);
        images.retain(|image| !is_step(image, &parents));
        Ok(images)
    }

    fn created_of<'a>(
        &self,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<OffsetDateTime>, LookupError> {
        let created = |name| -> Result<OffsetDateTime, LookupError> {
            let image = self.images.get(&self.images.resolve(name)?)?;
            Ok(created(&image))
        };
        names.map(created).collect()
    }

    /// Returns the steps in which an image was made, the last one first.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn image_history(&self, name: &str) -> Result<Vec<HistoryStep>, LookupError> {
        self.images.history(&self.images.resolve(name)?)
    }

    /// Returns how many containers use an image.
    #[must_use]
    pub fn n_users_of_image(&self, image: &Image) -> usize {
        self.users_of_image(image.id.as_str()).len()
    }

    /// Returns the object that `docker image inspect` prints.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn inspect_image(&self, name: &str) -> Result<Value, LookupError> {
        let image = self.images.get(&self.images.resolve(name)?)?;
        Ok(self.image_object(&image))
    }

    fn image_object(&self, image: &Image) -> Value {
        let lower: Vec<String> = image
            .layers
            .iter()
            .rev()
            .map(|layer| self.snapshots.layer_path(layer).display().to_string())
            .collect();
        let configuration = &image.config;
        let architecture = match configuration.architecture.as_str() {
            "" => go_architecture(),
            known => known,
        };
        let comment = configuration
            .history
            .last()
            .and_then(|entry| entry.comment.clone());
        json!({
            "Id": image.id.as_str(),
            "RepoTags": image.repo_tags,
            "RepoDigests": image.repo_digests,
            "Parent": image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
            "Comment": comment.unwrap_or_default(),
            "Created": configuration.created,
            "DockerVersion": "",
            "Author": configuration.author.clone().unwrap_or_default(),
            "Config": configuration.config,
            "Architecture": architecture,
            "Variant": configuration.variant,
            "Os": configuration.os,
            "Size": image.size,
            "GraphDriver": { "Name": "overlayfs", "Data": { "LowerDir": lower.join(":") } },
            "RootFS": { "Type": "layers", "Layers": image.layers },
            "Metadata": { "LastTagTime": crate::view::human::ZERO_TIME },
        })
    }
}

fn parents(images: &[Image]) -> HashSet<ImageId> {
    let parents = images.iter().filter_map(|image| image.parent.clone());
    parents.collect()
}

/// Without a name and built upon, an image is a step of a build.
fn is_step(image: &Image, parents: &HashSet<ImageId>) -> bool {
    image.repo_tags.is_empty() && image.repo_digests.is_empty() && parents.contains(&image.id)
}

/// Returns when an image was made, in seconds since 1970; 0 when it does not say.
#[must_use]
pub fn created_seconds(image: &Image) -> i64 {
    created(image).unix_timestamp()
}

/// Returns when an image was made; the beginning of 1970 when it does not say.
fn created(image: &Image) -> OffsetDateTime {
    let text = image.config.created.as_deref().unwrap_or_default();
    OffsetDateTime::parse(text, &Rfc3339).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Reads a moment as configurations have it (RFC 3339); 0 when it is none.
#[must_use]
pub fn unix_seconds(text: &str) -> i64 {
    OffsetDateTime::parse(text, &Rfc3339).map_or(0, OffsetDateTime::unix_timestamp)
}

impl Classified for ListImagesError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Filter(_) => ErrorClass::InvalidArgument,
            Self::Lookup(error) => error.class(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Filter(_) => "invalid-filter",
            Self::Lookup(error) => error.reason(),
        }
    }
}

macro_rules! classify {
    ($($error:ty => $fallback:literal),* $(,)?) => {$(
        impl Classified for $error {
            fn class(&self) -> ErrorClass {
                class(self.kind())
            }

            fn reason(&self) -> &'static str {
                reason(self.kind(), $fallback)
            }
        }
    )*};
}

classify! {
    LookupError => "image-lookup-failed",
    berth_agent_images::SaveError => "save-failed",
    berth_agent_images::LoadError => "load-failed",
    RemoveError => "image-remove-failed",
    berth_agent_images::PullError => "pull-failed",
    berth_agent_images::PushError => "push-failed",
    berth_agent_images::ImportError => "import-failed",
    berth_agent_images::CommitError => "commit-failed",
    berth_agent_images::UnpackError => "unpack-failed",
    berth_agent_images::FetchError => "fetch-failed",
    berth_agent_images::LoginError => "login-failed",
}

fn class(kind: berth_agent_images::ErrorKind) -> ErrorClass {
    use berth_agent_images::ErrorKind;
    match kind {
        ErrorKind::NotFound => ErrorClass::NotFound,
        ErrorKind::Unauthorized => ErrorClass::Unauthorized,
        ErrorKind::Unavailable => ErrorClass::Unavailable,
        ErrorKind::DiskFull => ErrorClass::Exhausted,
        ErrorKind::Invalid => ErrorClass::InvalidArgument,
        ErrorKind::Conflict => ErrorClass::Conflict,
        ErrorKind::Unsupported => ErrorClass::Unsupported,
        ErrorKind::DigestMismatch | ErrorKind::Internal => ErrorClass::Internal,
    }
}

fn reason(kind: berth_agent_images::ErrorKind, fallback: &'static str) -> &'static str {
    use berth_agent_images::ErrorKind;
    match kind {
        ErrorKind::NotFound => "image-not-found",
        ErrorKind::Unauthorized => "registry-unauthorized",
        ErrorKind::Unavailable => "registry-unavailable",
        ErrorKind::DigestMismatch => "digest-mismatch",
        ErrorKind::DiskFull => "disk-full",
        ErrorKind::Invalid => "invalid-argument",
        ErrorKind::Conflict => "image-in-use",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Internal => fallback,
    }
}
