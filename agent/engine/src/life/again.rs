//! Starts containers again that ended, after their pause.
//!
//! A container that waits for its start is in the phase `Restarting`, on record with its pause, so that
//! an agent that comes after this one goes on waiting. Whoever takes it out of that phase (a stop, a
//! removal) has ended the wait.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use berth_agent_state::StateError;

use crate::Engine;
use crate::container::Container;
use crate::container::record::ContainerRecord;
use crate::container::restart::Policy;
use crate::container::status::{Event, Phase};

impl Engine {
    /// Starts a container again when its pause is over, of which `left` is left.
    pub(crate) fn start_later(self: &Arc<Self>, container: &Arc<Container>, left: Duration) {
        let mut observed = container.observe();
        let n_exits = observed.borrow().n_exits;
        let (engine, container) = (Arc::clone(self), Arc::clone(container));
        tokio::spawn(async move {
            let given_up =
                observed.wait_for(|o| o.phase != Phase::Restarting || o.n_exits != n_exits);
            if tokio::time::timeout(left, given_up).await.is_ok() {
                return;
            }
            let guard = container.lifecycle.lock().await;
            // It may have been given up, and even have come so far again, while the lock was waited for.
            let is_same = {
                let now = observed.borrow();
                now.phase == Phase::Restarting && now.n_exits == n_exits
            };
            if is_same {
                engine.start_by_itself(&container).await;
            }
            drop(guard);
        });
    }

    /// Starts a container that nobody starts by hand. The lifecycle lock is held.
    pub(crate) async fn start_by_itself(self: &Arc<Self>, container: &Arc<Container>) {
        if let Err(error) = self.start_locked(container).await {
            let error = crate::class::Classified::sentence(&error);
            tracing::error!(container = %container.id(), error, "container not started again");
        }
    }

    /// Notes that a container that waits for its start is not started any more. The lifecycle lock is
    /// held. Returns whether it waited.
    pub(crate) fn give_up_restart(&self, container: &Container) -> bool {
        container.apply(Event::RestartGivenUp)
    }

    /// Notes, on the disk when it matters, that somebody wants a container to be down. A full disk is no
    /// reason not to stop one.
    pub(crate) async fn note_stop_by_hand(self: &Arc<Self>, container: &Arc<Container>) {
        let mut matters = false;
        container.change_record(|record| {
            // The policy asks about this after a boot.
            matters = !record.restart.stopped_by_hand && has_policy(record);
            record.restart.stopped_by_hand = true;
        });
        if matters && let Err(error) = self.store_and_wait(container).await {
            tracing::error!(container = %container.id(), error = %error, "stop not recorded");
        }
    }

    /// Notes, on the disk when it matters, that somebody starts a container.
    pub(crate) async fn note_start_by_hand(
        self: &Arc<Self>,
        container: &Arc<Container>,
    ) -> Result<(), StateError> {
        let mut matters = false;
        container.change_record(|record| {
            matters = has_policy(record) && (!record.was_started || record.restart.stopped_by_hand);
            record.restart.reset();
            // After a power cut this is all that tells that it has ever been started.
            record.was_started = true;
        });
        if matters {
            self.store_and_wait(container).await?;
        }
        Ok(())
    }

    pub(crate) async fn store_and_wait(
        self: &Arc<Self>,
        container: &Arc<Container>,
    ) -> Result<(), StateError> {
        let (engine, container) = (Arc::clone(self), Arc::clone(container));
        let work = tokio::task::spawn_blocking(move || engine.store(&container));
        crate::task::outcome(work).await
    }
}

fn has_policy(record: &ContainerRecord) -> bool {
    Policy::of(&record.host.restart_policy) != Policy::No
}

/// Returns what is left of a pause that began at `since`.
pub(crate) fn left_of(pause: Duration, since: Option<SystemTime>) -> Duration {
    let passed = since.and_then(|since| SystemTime::now().duration_since(since).ok());
    // A clock that was set back makes the pause begin anew, never longer.
    passed.map_or(pause, |passed| pause.saturating_sub(passed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_goes_on_and_a_wrong_clock_makes_it_no_longer() {
        let pause = Duration::from_secs(60);
        let now = SystemTime::now();
        let left = left_of(pause, Some(now - Duration::from_secs(20)));
        assert!(left <= Duration::from_secs(40) && left > Duration::from_secs(30));
        assert_eq!(left_of(pause, Some(now - pause * 2)), Duration::ZERO);
        assert_eq!(left_of(pause, Some(now + pause)), pause);
        assert_eq!(left_of(pause, None), pause);
    }
}
