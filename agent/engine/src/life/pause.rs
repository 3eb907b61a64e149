//! Freezes and thaws containers.

use std::sync::Arc;

use berth_agent_runtime::ControlError;

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::Container;
use crate::container::containers::LookupError;
use crate::container::status::{Event, Phase};
use crate::id::ContainerId;

/// A container is not frozen or thawed.
#[derive(Debug, thiserror::Error)]
pub enum PauseError {
    /// There is no such container.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It does not run.
    #[error("container {0} is not running")]
    NotRunning(ContainerId),
    /// It is frozen.
    #[error("Container {0} is already paused")]
    Paused(ContainerId),
    /// It is not frozen.
    #[error("Container {0} is not paused")]
    NotPaused(ContainerId),
    /// It waits for its start.
    #[error("Container {0} is restarting, wait until the container is running")]
    Restarting(ContainerId),
    /// The runtime refused.
    #[error("cannot change container {name}")]
    Control {
        /// The container as asked for.
        name: String,
        /// Why.
        #[source]
        source: ControlError,
    },
}

impl Engine {
    /// Freezes all processes of a container.
    ///
    /// # Errors
    /// When it does not run, is frozen, or the machine has no freezer.
    ///
    /// # Cancel safety
    /// Goes on when the future is dropped: what is frozen must be on record as such.
    pub async fn pause(self: &Arc<Self>, name: &str) -> Result<(), PauseError> {
        self.set_frozen(name, true).await
    }

    /// Lets a frozen container run on.
    ///
    /// # Errors
    /// When it is not frozen.
    ///
    /// # Cancel safety
    /// Goes on when the future is dropped.
    pub async fn unpause(self: &Arc<Self>, name: &str) -> Result<(), PauseError> {
        self.set_frozen(name, false).await
    }

    async fn set_frozen(self: &Arc<Self>, name: &str, frozen: bool) -> Result<(), PauseError> {
        let container = self.containers.find(name)?;
        let (engine, name) = (Arc::clone(self), name.to_owned());
        let work = tokio::spawn(async move {
            let guard = container.lifecycle.lock().await;
            let result = engine.set_frozen_locked(&container, &name, frozen).await;
            if result.is_ok() {
                // What somebody wants is not so for a commit that could not be undone.
                engine.forget_commit_mark(container.id());
            }
            drop(guard);
            result
        });
        crate::task::outcome(work).await
    }

    /// Freezes or thaws a container whose lifecycle lock is held.
    pub(crate) async fn set_frozen_locked(
        self: &Arc<Self>,
        container: &Arc<Container>,
        name: &str,
        frozen: bool,
    ) -> Result<(), PauseError> {
        change(container, name, frozen).await?;
        self.store_behind(container);
        self.container_event(container, if frozen { "pause" } else { "unpause" });
        if !frozen {
            self.look_after_health(container);
        }
        Ok(())
    }
}

/// Freezes or thaws, and notes it.
async fn change(container: &Container, name: &str, frozen: bool) -> Result<(), PauseError> {
    let id = || container.id().clone();
    if container.phase() == Phase::Restarting {
        return Err(PauseError::Restarting(id()));
    }
    let running = container
        .running()
        .ok_or_else(|| PauseError::NotRunning(id()))?;
    match (container.phase() == Phase::Paused, frozen) {
        (true, true) => return Err(PauseError::Paused(id())),
        (false, false) => return Err(PauseError::NotPaused(id())),
        _ => {}
    }
    let changed = if frozen {
        running.pause().await
    } else {
        running.resume().await
    };
    changed.map_err(|source| PauseError::Control {
        name: name.to_owned(),
        source,
    })?;
    container.apply(if frozen {
        Event::Paused
    } else {
        Event::Resumed
    });
    Ok(())
}

impl Classified for PauseError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Lookup(error) => error.class(),
            Self::NotRunning(_) | Self::Paused(_) | Self::NotPaused(_) | Self::Restarting(_) => {
                ErrorClass::Conflict
            }
            Self::Control { .. } => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.reason(),
            Self::NotRunning(_) => "not-running",
            Self::Paused(_) | Self::NotPaused(_) | Self::Restarting(_) => "wrong-state",
            Self::Control { .. } => "pause-failed",
        }
    }
}
