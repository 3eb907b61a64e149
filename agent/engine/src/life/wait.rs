//! Waits for containers, and sets the size of their terminals.

use std::sync::Arc;

use berth_agent_runtime::ControlError;

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::container::containers::LookupError;
use crate::container::status::Exit;
use crate::container::{Container, Observed};
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
    container: Arc<Container>,
    condition: WaitCondition,
    before: Observed,
}

/// A wait comes to no end: the container was to be removed and is still there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotRemoved(String);

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
        let container = self.containers.find(name)?;
        Ok(Waiting::new(container, condition))
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
    fn new(container: Arc<Container>, condition: WaitCondition) -> Self {
        let before = *container.observe().borrow();
        Self {
            container,
            condition,
            before,
        }
    }

    /// Waits until the condition holds and returns how the container ended last.
    ///
    /// # Errors
    /// When the removal that is waited for has failed.
    ///
    /// # Cancel safety
    /// May be dropped at any time.
    pub async fn exit(self) -> Result<Exit, NotRemoved> {
        let (condition, before) = (self.condition, self.before);
        let has_failed = |o: &Observed| {
            condition == WaitCondition::Removed && o.n_failed_removals > before.n_failed_removals
        };
        let holds = |o: &Observed| {
            o.removed
                || has_failed(o)
                || match condition {
                    // As Docker: an end is one, also when it is started again at once.
                    WaitCondition::NotRunning => !o.phase.is_alive() || o.n_exits > before.n_exits,
                    WaitCondition::NextExit => o.n_exits > before.n_exits,
                    WaitCondition::Removed => false,
                }
        };
        let mut observed = self.container.observe();
        // It fails only without a sender, which the container has.
        let now = observed.wait_for(holds).await.map(|now| *now);
        let now = now.unwrap_or(before);
        if !now.removed && has_failed(&now) {
            return Err(NotRemoved(self.container.removal_error()));
        }
        Ok(now.exit)
    }
}

impl Classified for NotRemoved {
    fn class(&self) -> ErrorClass {
        ErrorClass::Internal
    }

    fn reason(&self) -> &'static str {
        "not-removed"
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

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::container::status::Event;

    fn start(container: &Container) {
        let at = SystemTime::now();
        assert!(container.apply(Event::Started { pid: 1, at }));
    }

    #[tokio::test]
    async fn a_wait_tells_the_end_of_its_run_when_the_next_one_has_begun() {
        let container = Arc::new(Container::for_test());
        start(&container);
        let waits = [WaitCondition::NotRunning, WaitCondition::NextExit];
        let waits = waits.map(|condition| Waiting::new(Arc::clone(&container), condition));
        assert!(container.apply(Event::Exited {
            exit: Exit {
                code: 137,
                oom_killed: false,
            },
            started_at: None,
            at: SystemTime::now(),
        }));
        start(&container);
        for wait in waits {
            assert_eq!(wait.exit().await.expect("ended").code, 137);
        }
    }
}
