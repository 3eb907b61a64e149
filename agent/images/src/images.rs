//! The store of one machine's images.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use berth_agent_snapshots::Snapshotter;
use berth_agent_state::State;

use crate::{
    Credentials, Digest, ErrorKind, HistoryEntry, Image, ImageConfiguration, ImageId, ImageUse,
    Platform, ProgressSink, Reference, Removed,
};

/// Where images are kept and how registries are reached.
#[derive(Debug, Clone)]
pub struct ImagesConfig {
    /// The directory for compressed content, `<data root>/content`.
    pub root: PathBuf,
    /// The agent's database.
    pub state: State,
    /// Where layers are unpacked.
    pub snapshotter: Arc<dyn Snapshotter>,
    /// Registries (`host[:port]` or `network/bits`) that may be spoken to without trusted TLS.
    pub insecure_registries: Vec<String>,
    /// Base addresses that are asked before Docker's own registry.
    pub mirrors: Vec<String>,
}

/// The images of this machine; clones share them.
#[derive(Debug, Clone)]
pub struct Images {
    _config: Arc<ImagesConfig>,
}

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

/// Where the files of a new layer come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerSource {
    /// No files: only the configuration changes.
    Nothing,
    /// The `upper` directory of a container filesystem, which is used up: it moves into the layer.
    Move(PathBuf),
    /// The `upper` directory of a container filesystem, which stays as it is.
    Copy(PathBuf),
}

/// How to make an image out of another one.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// The image to build upon; none for `scratch`.
    pub parent: Option<ImageId>,
    /// The files that are new.
    pub layer: LayerSource,
    /// The new configuration; its layers and history are filled in from the parent's.
    pub config: ImageConfiguration,
    /// The entry for the history; whether it is an empty layer is filled in.
    pub history: HistoryEntry,
}

/// How to make an image out of a root filesystem's tar.
#[derive(Debug, Clone, Default)]
pub struct ImportRequest {
    /// The name to give it, if any.
    pub reference: Option<Reference>,
    /// The configuration; architecture and system are filled in where empty, layers and history
    /// always.
    pub config: ImageConfiguration,
    /// The remark in the history.
    pub comment: String,
    /// What it is for, instead of this machine.
    pub platform: Option<Platform>,
}

macro_rules! placeholder_errors {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, thiserror::Error)]
        #[error("not yet")]
        pub struct $name;

        impl $name {
            /// Returns what kind of failure this is.
            #[must_use]
            pub fn kind(&self) -> ErrorKind {
                ErrorKind::Internal
            }
        }
    )*};
}

placeholder_errors! {
    /// The reasons why the store cannot be opened.
    OpenError,
    /// The reasons why a pull fails.
    PullError,
    /// The reasons why a push fails.
    PushError,
    /// The reasons why an image cannot be found, listed or named.
    LookupError,
    /// The reasons why an image cannot be removed.
    RemoveError,
    /// The reasons why a commit fails.
    CommitError,
    /// The reasons why an import fails.
    ImportError,
}

#[expect(clippy::todo, clippy::unused_async, clippy::missing_panics_doc, reason = "the interface comes first")]
impl Images {
    /// Opens the store, and removes or mends what a killed agent or a power cut left.
    ///
    /// # Errors
    ///
    /// Fails when the directories or the database cannot be used.
    pub fn open(config: ImagesConfig) -> Result<Self, OpenError> {
        let _ = config;
        todo!()
    }

    /// Pulls an image and points the reference at it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future keeps the finished layers and what has arrived of the others, which the
    /// next pull of the same content takes up.
    ///
    /// # Errors
    ///
    /// Fails without having changed what the reference points at.
    pub async fn pull(
        &self,
        reference: &Reference,
        credentials: &Credentials,
        platform: Option<&Platform>,
        progress: &ProgressSink,
    ) -> Result<Pulled, PullError> {
        let _ = (reference, credentials, platform, progress);
        todo!()
    }

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
        let _ = (reference, credentials, progress);
        todo!()
    }

    /// Finds the image that a user means: by name, id, or unique beginning of an id.
    ///
    /// # Errors
    ///
    /// Fails when there is none, or when several ids begin so.
    pub fn resolve(&self, name: &str) -> Result<ImageId, LookupError> {
        let _ = name;
        todo!()
    }

    /// Returns an image.
    ///
    /// # Errors
    ///
    /// Fails when there is none with this id.
    pub fn get(&self, id: &ImageId) -> Result<Image, LookupError> {
        let _ = id;
        todo!()
    }

    /// Returns all images, newest first.
    ///
    /// # Errors
    ///
    /// Fails when the database cannot be read.
    pub fn list(&self) -> Result<Vec<Image>, LookupError> {
        todo!()
    }

    /// Points a reference (with `latest` by default) at an image.
    ///
    /// # Errors
    ///
    /// Fails when there is no such image, or when the reference has a digest.
    pub fn tag(&self, id: &ImageId, reference: &Reference) -> Result<(), LookupError> {
        let _ = (id, reference);
        todo!()
    }

    /// Removes a name, and the image with it when that was the last one, as `docker rmi` does.
    ///
    /// Untagged parents go too unless `keep_parents` is set. Blocks while trees are deleted.
    ///
    /// # Errors
    ///
    /// Fails when there is no such image, or when somebody uses it.
    pub fn remove(
        &self,
        name: &str,
        force: bool,
        keep_parents: bool,
        in_use: &dyn Fn(&ImageId) -> Vec<ImageUse>,
    ) -> Result<Vec<Removed>, RemoveError> {
        let _ = (name, force, keep_parents, in_use);
        todo!()
    }

    /// Makes an image of a root filesystem's tar (plain, gzip or zstd).
    ///
    /// # Errors
    ///
    /// Fails when the tar cannot be read or unpacked, leaving nothing behind.
    pub async fn import_rootfs(
        &self,
        reader: Box<dyn Read + Send>,
        request: ImportRequest,
    ) -> Result<ImageId, ImportError> {
        let _ = (reader, request);
        todo!()
    }

    /// Makes an image out of a parent, new files and a configuration.
    ///
    /// # Errors
    ///
    /// Fails when the parent is gone or the files cannot be read or copied.
    pub async fn commit(&self, request: CommitRequest) -> Result<ImageId, CommitError> {
        let _ = request;
        todo!()
    }

    /// Removes layers and content that no image, container or running pull needs.
    ///
    /// Returns how many bytes of compressed content went. Blocks while trees are deleted; may be
    /// interrupted at any time.
    ///
    /// # Errors
    ///
    /// Fails when the database cannot be read or something cannot be removed.
    pub fn gc(&self) -> Result<u64, RemoveError> {
        todo!()
    }
}
