//! Listening to events: those of the past that are still known, then those to come.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::events::filter::{EventFilter, EventFilterError};
use crate::events::{Event, Events};

/// A listener: a position among the events.
#[derive(Debug)]
pub struct Subscription {
    events: Arc<Events>,
    filter: EventFilter,
    since: Option<SystemTime>,
    until: Option<SystemTime>,
    position: u64,
    count: watch::Receiver<u64>,
}

/// Events cannot be listened to so.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// A filter is wrong.
    #[error(transparent)]
    Filter(#[from] EventFilterError),
    /// The times are the wrong way round.
    #[error("`since` time ({since}) cannot be after `until` time ({until})")]
    Range {
        /// Seconds and nanoseconds.
        since: String,
        /// Seconds and nanoseconds.
        until: String,
    },
}

impl Engine {
    /// Listens to events: from `since` on or, without it, to those to come; up to `until` or without end.
    /// With `until` alone the past that is known counts too, as in Docker.
    ///
    /// # Errors
    /// When a filter (`key=value`) or the range of time makes no sense.
    pub fn subscribe(
        &self,
        since: Option<SystemTime>,
        until: Option<SystemTime>,
        filters: &[String],
    ) -> Result<Subscription, EventsError> {
        let filter = EventFilter::parse(filters, &self.identity)?;
        if let (Some(since), Some(until)) = (since, until)
            && since > until
        {
            let (since, until) = (seconds(since), seconds(until));
            return Err(EventsError::Range { since, until });
        }
        let events = Arc::clone(&self.events);
        let count = events.count.subscribe();
        let from_the_past = since.is_some() || until.is_some();
        let position = if from_the_past {
            0
        } else {
            events.lock().end()
        };
        Ok(Subscription {
            events,
            filter,
            since,
            until,
            position,
            count,
        })
    }
}

impl Subscription {
    /// Returns the next event that passes the filters; nothing after `until`.
    ///
    /// # Cancel safety
    /// May be dropped at any time; no event is lost by it.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        loop {
            // Before the look, so that what is published after it wakes this up.
            self.count.borrow_and_update();
            while let Some((position, event)) = self.look() {
                self.position = position + 1;
                if self.until.is_some_and(|until| event.time > until) {
                    return None;
                }
                let is_wanted = self.since.is_none_or(|since| event.time >= since);
                if is_wanted && self.filter.includes(&event) {
                    return Some(event);
                }
            }
            if !self.more_may_come().await {
                return None;
            }
        }
    }

    fn look(&self) -> Option<(u64, Arc<Event>)> {
        self.events.lock().at(self.position)
    }

    /// Waits for another event; false when the time is over before.
    async fn more_may_come(&mut self) -> bool {
        let Some(until) = self.until else {
            return self.count.changed().await.is_ok();
        };
        let Ok(left) = until.duration_since(SystemTime::now()) else {
            return false;
        };
        match tokio::time::timeout(left, self.count.changed()).await {
            Ok(changed) => changed.is_ok(),
            Err(_elapsed) => false,
        }
    }
}

fn seconds(time: SystemTime) -> String {
    let since_epoch = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    format!(
        "{}.{:09}",
        since_epoch.as_secs(),
        since_epoch.subsec_nanos()
    )
}

impl Classified for EventsError {
    fn class(&self) -> ErrorClass {
        ErrorClass::InvalidArgument
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Filter(_) => "invalid-filter",
            Self::Range { .. } => "invalid-argument",
        }
    }
}
