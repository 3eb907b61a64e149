//! Freezes and thaws containers.

use berth_agent_runtime::ControlError;

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::containers::LookupError;
use crate::id::ContainerId;
use crate::status::{Event, Phase};

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
    #[error("container {0} is already paused")]
    Paused(ContainerId),
    /// It is not frozen.
    #[error("container {0} is not paused")]
    NotPaused(ContainerId),
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
    pub async fn pause(&self, name: &str) -> Result<(), PauseError> {
        let container = self.containers.find(name)?;
        let guard = container.lifecycle.lock().await;
        let id = || container.id().clone();
        let running = container
            .running()
            .ok_or_else(|| PauseError::NotRunning(id()))?;
        if container.phase() == Phase::Paused {
            return Err(PauseError::Paused(id()));
        }
        running
            .pause()
            .await
            .map_err(|source| PauseError::Control {
                name: name.to_owned(),
                source,
            })?;
        container.apply(Event::Paused);
        self.store_behind(&container);
        drop(guard);
        Ok(())
    }

    /// Lets a frozen container run on.
    ///
    /// # Errors
    /// When it is not frozen.
    pub async fn unpause(&self, name: &str) -> Result<(), PauseError> {
        let container = self.containers.find(name)?;
        let guard = container.lifecycle.lock().await;
        let id = || container.id().clone();
        let running = container
            .running()
            .ok_or_else(|| PauseError::NotRunning(id()))?;
        if container.phase() != Phase::Paused {
            return Err(PauseError::NotPaused(id()));
        }
        running
            .resume()
            .await
            .map_err(|source| PauseError::Control {
                name: name.to_owned(),
                source,
            })?;
        container.apply(Event::Resumed);
        self.store_behind(&container);
        drop(guard);
        Ok(())
    }
}

impl Classified for PauseError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Lookup(error) => error.class(),
            Self::NotRunning(_) | Self::Paused(_) | Self::NotPaused(_) => ErrorClass::Conflict,
            Self::Control { .. } => ErrorClass::Internal,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.reason(),
            Self::NotRunning(_) => "not-running",
            Self::Paused(_) | Self::NotPaused(_) => "wrong-state",
            Self::Control { .. } => "pause-failed",
        }
    }
}
