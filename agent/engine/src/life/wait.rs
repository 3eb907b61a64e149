//! Waits for containers, and sets the size of their terminals.

use berth_agent_runtime::ControlError;
use tokio::sync::watch;

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::Observed;
use crate::container::containers::LookupError;
use crate::container::status::Exit;
use crate::id::ContainerId;
use crate::options::TerminalSize;

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitCondition {
    /// Until it does not run, which may be now.
    NotRunning,
    /// Until its next end, also when it is not started yet.
    NextExit,
    /// Until it is removed.
    Removed,
}

/// A wait that is in place: what happens from now on counts.
#[derive(Debug)]
pub struct Waiting {
    observed: watch::Receiver<Observed>,
    condition: WaitCondition,
    n_exits_before: u64,
}

/// A terminal's size is not set.
#[derive(Debug, thiserror::Error)]
pub enum ResizeError {
    /// There is no such container.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It does not run.
    #[error("container {0} is not running")]
    NotRunning(ContainerId),
    /// The runtime refused.
    #[error("cannot resize container: {name}")]
    Control {
        /// The container as asked for.
        name: String,
        /// Why.
        #[source]
        source: ControlError,
    },
}

impl Engine {
    /// Puts a wait in place.
    ///
    /// # Errors
    /// When there is no such container.
    pub fn wait(&self, name: &str, condition: WaitCondition) -> Result<Waiting, LookupError> {
        let observed = self.containers.find(name)?.observe();
        let n_exits_before = observed.borrow().n_exits;
        Ok(Waiting {
            observed,
            condition,
            n_exits_before,
        })
    }

    /// Sets the size of a container's terminal.
    ///
    /// # Errors
    /// When it does not run or has no terminal.
    pub async fn resize(&self, name: &str, size: TerminalSize) -> Result<(), ResizeError> {
        let container = self.containers.find(name)?;
        let not_running = || ResizeError::NotRunning(container.id().clone());
        let running = container.running().ok_or_else(not_running)?;
        match running.resize(size.into()).await {
            Ok(()) => {
                let (height, width) = (size.rows.to_string(), size.columns.to_string());
                let more = [("height", height.as_str()), ("width", &width)];
                self.container_event_with(&container, "resize", more);
                Ok(())
            }
            Err(ControlError::NotRunning { .. }) => Err(not_running()),
            Err(source) => Err(ResizeError::Control {
                name: name.to_owned(),
                source,
            }),
        }
    }
}

impl Waiting {
    /// Waits until the condition holds and returns how the container ended last.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn exit(mut self) -> Exit {
        let (condition, before) = (self.condition, self.n_exits_before);
        let holds = |observed: &Observed| {
            observed.removed
                || match condition {
                    WaitCondition::NotRunning => !observed.phase.is_alive(),
                    WaitCondition::NextExit => observed.n_exits > before,
                    WaitCondition::Removed => false,
                }
        };
        // An error means that the container was dropped; its last state is what there is.
        drop(self.observed.wait_for(holds).await);
        self.observed.borrow().exit
    }
}

impl Classified for ResizeError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Lookup(error) => error.class(),
            Self::NotRunning(_) => ErrorClass::Conflict,
            Self::Control { .. } => ErrorClass::InvalidArgument,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Lookup(error) => error.reason(),
            Self::NotRunning(_) => "not-running",
            Self::Control { .. } => "resize-failed",
        }
    }
}
