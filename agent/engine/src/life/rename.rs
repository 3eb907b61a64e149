//! Gives a container another name: all of it or nothing, whatever happens in between.

use std::sync::Arc;

use berth_agent_state::StateError;

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::Container;
use crate::container::containers::{LookupError, NameInUse};
use crate::container::names;
use crate::container::status::Phase;

/// A container keeps its name.
#[derive(Debug, thiserror::Error)]
pub enum RenameError {
    /// There is no such container.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// A name is missing.
    #[error("Neither old nor new names may be empty")]
    Empty,
    /// It has that name.
    #[error("Renaming a container with the same name as its current name")]
    Same,
    /// The name is not allowed.
    #[error(
        "Error when allocating new name: Invalid container name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )]
    Invalid(String),
    /// The name is taken.
    #[error("Error when allocating new name: {0}")]
    InUse(NameInUse),
    /// It is being removed.
    #[error("container is marked for removal and cannot be renamed")]
    BeingRemoved,
    /// The new name cannot be written.
    #[error("recording the new name")]
    State(#[from] StateError),
}

impl Engine {
    /// Gives a container another name, which is on the disk when this returns.
    ///
    /// # Errors
    /// When there is no such container, or the name is taken or not allowed.
    ///
    /// # Cancel safety
    /// Goes on when the future is dropped.
    pub async fn rename(self: &Arc<Self>, name: &str, new_name: &str) -> Result<(), RenameError> {
        if name.is_empty() || new_name.is_empty() {
            return Err(RenameError::Empty);
        }
        let container = self.containers.find(name)?;
        let new_name = new_name.strip_prefix('/').unwrap_or(new_name).to_owned();
        let engine = Arc::clone(self);
        let work = tokio::spawn(async move {
            // A removal frees the name that the container has then.
            let guard = container.lifecycle.lock().await;
            let target = Arc::clone(&container);
            let work = tokio::task::spawn_blocking(move || engine.rename_found(&target, &new_name));
            let result = crate::task::outcome(work).await;
            drop(guard);
            result
        });
        crate::task::outcome(work).await
    }

    fn rename_found(&self, container: &Container, new_name: &str) -> Result<(), RenameError> {
        if matches!(container.phase(), Phase::Removing | Phase::Dead) {
            return Err(RenameError::BeingRemoved);
        }
        let old_name = container.name();
        if old_name == new_name {
            return Err(RenameError::Same);
        }
        if !names::is_valid(new_name) {
            return Err(RenameError::Invalid(new_name.to_owned()));
        }
        let reservation = self
            .containers
            .reserve(new_name, container.id())
            .map_err(RenameError::InUse)?;
        self.change_durably(container, |record| new_name.clone_into(&mut record.name))?;
        self.containers.free(&old_name, container.id());
        reservation.keep();
        let old_name = format!("/{old_name}");
        self.container_event_with(container, "rename", [("oldName", &old_name)]);
        self.rename_on_networks(container);
        Ok(())
    }
}

impl Classified for RenameError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Lookup(error) => error.class(),
            Self::Empty | Self::Same | Self::Invalid(_) => ErrorClass::InvalidArgument,
            Self::InUse(_) => ErrorClass::AlreadyExists,
            Self::BeingRemoved => ErrorClass::Conflict,
            Self::State(error) if error.is_disk_full() => ErrorClass::Exhausted,
            Self::State(_) => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.reason(),
            Self::Empty | Self::Same | Self::Invalid(_) => "invalid-argument",
            Self::InUse(_) => "name-in-use",
            Self::BeingRemoved => "wrong-state",
            Self::State(error) if error.is_disk_full() => "disk-full",
            Self::State(_) => "rename-failed",
        }
    }
}
