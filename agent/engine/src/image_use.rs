//! Use cases about images in which containers have a say: inspecting and removing.

use berth_agent_images::{Image, ImageUse, LookupError, RemoveError, Removed};
use serde_json::{Value, json};

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::info::go_architecture;

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
        self.images.remove(name, force, keep_parents, &|id| {
            self.users_of_image(id.as_str())
                .iter()
                .map(|container| ImageUse {
                    container: container.id().to_string(),
                    running: container.phase().is_alive(),
                })
                .collect()
        })
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
            "Metadata": { "LastTagTime": crate::human::ZERO_TIME },
        })
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
    RemoveError => "image-remove-failed",
    berth_agent_images::PullError => "pull-failed",
    berth_agent_images::PushError => "push-failed",
    berth_agent_images::ImportError => "import-failed",
    berth_agent_images::CommitError => "commit-failed",
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
