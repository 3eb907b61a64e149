//! Makes an image of a container: its changes as a new layer above those of its image, which are
//! shared.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use berth_agent_images::{
    CommitError as ImageError, CommitRequest, ContainerDefaults, HistoryEntry, ImageConfiguration,
    ImageId, LayerSource, Reference,
};
use berth_agent_runtime::ControlError;
use berth_agent_snapshots::SnapshotError;

use super::commit_config::{merge, own};
use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::Container;
use crate::container::containers::LookupError;
use crate::container::record::ContainerRecord;
use crate::container::status::Phase;
use crate::id::ContainerId;
use crate::life::pause::PauseError;

/// In the container's run folder while it is frozen for a commit only. An agent that comes after a
/// killed one lets it run on.
const MARK: &str = "frozen-for-commit";

/// How an image is made of a container.
#[derive(Clone, Debug, Default)]
pub struct CommitOptions {
    /// The name to give it, if any.
    pub reference: Option<Reference>,
    /// Who made it.
    pub author: String,
    /// A remark for the history.
    pub message: String,
    /// What the caller changes in the configuration; the rest is the container's.
    pub changes: ContainerDefaults,
    /// Freeze the container meanwhile, if it runs.
    pub pause: bool,
}

/// No image is made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// There is no such container.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It could not be removed.
    #[error("You cannot commit container {0} which is Dead")]
    Dead(ContainerId),
    /// It is being removed.
    #[error("You cannot commit container {0} which is being removed")]
    BeingRemoved(ContainerId),
    /// It cannot be frozen.
    #[error(transparent)]
    Pause(#[from] PauseError),
    /// It cannot be noted that it is frozen.
    #[error("noting that container {id} is frozen")]
    Mark {
        /// The container.
        id: ContainerId,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Its files cannot be found.
    #[error("opening the files of a container")]
    Files(#[from] SnapshotError),
    /// Its image cannot be looked up.
    #[error(transparent)]
    Image(#[from] berth_agent_images::LookupError),
    /// The image cannot be made.
    #[error(transparent)]
    Commit(#[from] ImageError),
}

impl Engine {
    /// Makes an image of a container and returns the image's id.
    ///
    /// # Errors
    /// When there is no such container, or its files cannot be copied. It is not frozen afterwards.
    ///
    /// # Cancel safety
    /// Goes on when the future is dropped, so that the container does not stay frozen.
    pub async fn commit(
        self: &Arc<Self>,
        name: &str,
        options: CommitOptions,
    ) -> Result<ImageId, CommitError> {
        let container = self.containers.find(name)?;
        let engine = Arc::clone(self);
        let work = tokio::spawn(async move { engine.commit_found(&container, options).await });
        crate::task::outcome(work).await
    }

    async fn commit_found(
        self: &Arc<Self>,
        container: &Arc<Container>,
        options: CommitOptions,
    ) -> Result<ImageId, CommitError> {
        let guard = container.lifecycle.lock().await;
        let id = || container.id().clone();
        match container.phase() {
            Phase::Dead => return Err(CommitError::Dead(id())),
            Phase::Removing => return Err(CommitError::BeingRemoved(id())),
            _ if container.observe().borrow().removed => {
                return Err(CommitError::BeingRemoved(id()));
            }
            _ => {}
        }
        let frozen = options.pause && container.phase() == Phase::Running;
        if frozen {
            self.freeze_for_commit(container).await?;
        }
        // A container that runs on may end meanwhile, which is noted under this lock.
        let guard = Some(guard).filter(|_| frozen || !container.phase().is_alive());
        let reference = options.reference.clone();
        let (comment, result) = (
            options.message.clone(),
            self.write_image(container, options),
        );
        let result = result.await;
        if frozen {
            self.thaw_after_commit(container).await;
        }
        drop(guard);
        let image = result?;
        let name = reference.map(|reference| reference.with_default_tag().familiar());
        self.container_event_with(
            container,
            "commit",
            [
                ("comment", comment.as_str()),
                ("imageID", image.as_str()),
                ("imageRef", name.as_deref().unwrap_or_default()),
            ],
        );
        Ok(image)
    }

    async fn write_image(
        &self,
        container: &Container,
        options: CommitOptions,
    ) -> Result<ImageId, CommitError> {
        let record = container.record();
        let upper = self.snapshots.resume(record.id.as_str())?.upper;
        let parent: Option<ImageId> = record.image_id.parse().ok();
        let of_parent = match &parent {
            Some(parent) => self.images.get(parent)?.config,
            None => ImageConfiguration::default(),
        };
        let request = request(&record, options, parent, &of_parent, upper);
        Ok(self.images.commit(request).await?)
    }

    async fn freeze_for_commit(
        self: &Arc<Self>,
        container: &Arc<Container>,
    ) -> Result<(), CommitError> {
        let mark = self.commit_mark(container.id());
        fs::write(&mark, "").map_err(|source| CommitError::Mark {
            id: container.id().clone(),
            source,
        })?;
        match self
            .set_frozen_locked(container, container.id().as_str(), true)
            .await
        {
            Ok(()) => Ok(()),
            // It ended in between, which is as quiet.
            Err(PauseError::NotRunning(_)) => Ok(()),
            Err(error) if container.running().is_none_or(|r| r.exited().is_some()) => {
                tracing::debug!(error = %error, "ended before it was frozen");
                Ok(())
            }
            Err(error) => {
                // Should it be frozen although nobody heard of it, it must not stay so. When that fails as
                // well, the next agent tries it.
                let thawed = match container.running() {
                    Some(running) => running.resume().await,
                    None => Ok(()),
                };
                match thawed {
                    Ok(()) | Err(ControlError::NotRunning { .. }) => {
                        self.forget_commit_mark(container.id());
                    }
                    Err(error) => {
                        tracing::warn!(container = %container.id(), %error, "not thawed");
                    }
                }
                Err(error.into())
            }
        }
    }

    async fn thaw_after_commit(self: &Arc<Self>, container: &Arc<Container>) {
        if container.phase() == Phase::Paused
            && let Err(error) = self
                .set_frozen_locked(container, container.id().as_str(), false)
                .await
        {
            // Killed meanwhile, for example.
            tracing::warn!(container = %container.id(), error = %error, "not thawed after a commit");
            if container.running().is_some_and(|r| r.exited().is_none()) {
                // Whoever finds the mark tries it again.
                return;
            }
        }
        self.forget_commit_mark(container.id());
    }

    /// Lets a container run on that a killed agent left frozen in the middle of a commit.
    pub(crate) async fn thaw_after_crash(self: &Arc<Self>, container: &Arc<Container>) {
        if container.running().is_some() && self.commit_mark(container.id()).exists() {
            self.thaw_after_commit(container).await;
        }
    }

    fn commit_mark(&self, id: &ContainerId) -> PathBuf {
        self.paths.container_run(id.as_str()).join(MARK)
    }

    pub(crate) fn forget_commit_mark(&self, id: &ContainerId) {
        match fs::remove_file(self.commit_mark(id)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(container = %id, error = %error, "mark of a commit not removed");
            }
            _ => {}
        }
    }
}

fn request(
    record: &ContainerRecord,
    options: CommitOptions,
    parent: Option<ImageId>,
    of_parent: &ImageConfiguration,
    upper: PathBuf,
) -> CommitRequest {
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    let own = own(&record.config, &of_parent.config);
    let history = HistoryEntry {
        created_by: text(record.config.command.join(" ")),
        author: text(options.author.clone()),
        comment: text(options.message),
        ..HistoryEntry::default()
    };
    CommitRequest {
        parent,
        layer: LayerSource::Copy(upper),
        config: ImageConfiguration {
            author: text(options.author),
            config: merge(options.changes, &own),
            architecture: of_parent.architecture.clone(),
            os: of_parent.os.clone(),
            variant: of_parent.variant.clone(),
            ..ImageConfiguration::default()
        },
        history,
        reference: options.reference,
    }
}

impl Classified for CommitError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Lookup(error) => error.class(),
            Self::Dead(_) | Self::BeingRemoved(_) => ErrorClass::Conflict,
            Self::Pause(error) => error.class(),
            Self::Image(error) => error.class(),
            Self::Commit(error) => error.class(),
            Self::Mark { .. } | Self::Files(_) => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.reason(),
            Self::Dead(_) | Self::BeingRemoved(_) => "wrong-state",
            Self::Pause(error) => error.reason(),
            Self::Image(error) => error.reason(),
            Self::Commit(error) => error.reason(),
            Self::Mark { .. } | Self::Files(_) => "commit-failed",
        }
    }
}
