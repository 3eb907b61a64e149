//! What happens on the machine, told to whoever listens, with Docker's names of types, actions and
//! attributes.
//!
//! Events live in one bounded ring. A listener is no more than a position in it, so that a slow or
//! dead one costs nothing and holds nobody up; one that falls behind by the whole ring misses the
//! oldest. Events mean nothing after the agent's end and are not kept.

mod filter;
mod publish;
mod subscription;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

pub use filter::EventFilterError;
pub(crate) use publish::Announcement;
pub(crate) use publish::attributes;
pub use subscription::{EventsError, Subscription};

/// Events that are kept for those who ask for the past. Docker keeps 256.
const KEPT: usize = 1024;

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The builder of images.
    Builder,
    /// A container.
    Container,
    /// The agent itself.
    Daemon,
    /// An image.
    Image,
    /// A network.
    Network,
    /// A volume.
    Volume,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is about.
    pub kind: EventKind,
    /// Docker's word: `create`, `die`, `exec_start: sh`, …
    pub action: String,
    /// Id of a container or network, name of a volume, name or id of an image.
    pub actor_id: String,
    /// More about it, such as `name`, `image` and labels.
    pub attributes: BTreeMap<String, String>,
    /// When; never earlier than the event before it.
    pub time: SystemTime,
}

/// All events of one engine.
#[derive(Debug)]
pub(crate) struct Events {
    ring: Mutex<Ring>,
    /// Number of events so far.
    count: watch::Sender<u64>,
}

#[derive(Debug)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    /// Number of events that are not in the ring any more.
    n_gone: u64,
    last: SystemTime,
}

// === impl EventKind ===

impl EventKind {
    /// Returns Docker's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Builder => "builder",
            Self::Container => "container",
            Self::Daemon => "daemon",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
        }
    }
}

// === impl Events ===

impl Default for Events {
    fn default() -> Self {
        Self {
            ring: Mutex::new(Ring {
                events: VecDeque::new(),
                n_gone: 0,
                last: SystemTime::UNIX_EPOCH,
            }),
            count: watch::Sender::new(0),
        }
    }
}

impl Events {
    /// Tells that something happened now.
    pub(crate) fn publish(
        &self,
        kind: EventKind,
        action: impl Into<String>,
        actor_id: impl Into<String>,
        attributes: BTreeMap<String, String>,
    ) {
        let mut ring = self.lock();
        let time = ring.next_time(SystemTime::now());
        let event = Event {
            kind,
            action: action.into(),
            actor_id: actor_id.into(),
            attributes,
            time,
        };
        tracing::trace!(?event, "event");
        if ring.events.len() == KEPT {
            ring.events.pop_front();
            ring.n_gone += 1;
        }
        ring.events.push_back(Arc::new(event));
        let count = ring.end();
        drop(ring);
        // Another publisher may have been quicker here; the count only grows.
        self.count.send_if_modified(|known| {
            let is_more = count > *known;
            *known = count.max(*known);
            is_more
        });
    }

    /// Returns how many listeners wait for events.
    pub(crate) fn n_listeners(&self) -> usize {
        self.count.receiver_count()
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        // Every change leaves the ring whole.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Ring ===

impl Ring {
    /// Returns the position after the newest event.
    fn end(&self) -> u64 {
        self.n_gone + self.events.len() as u64
    }

    /// Returns the event at a position, or the oldest that is left after it, and its position.
    fn at(&self, position: u64) -> Option<(u64, Arc<Event>)> {
        let position = position.max(self.n_gone);
        let index = usize::try_from(position - self.n_gone).ok()?;
        let event = self.events.get(index)?;
        Some((position, Arc::clone(event)))
    }

    /// Returns a time for an event: now, or just after the last one when the clock was set back.
    fn next_time(&mut self, now: SystemTime) -> SystemTime {
        let least = self.last + Duration::from_nanos(1);
        // A clock that was far ahead and has been put right must not hold all later events there.
        let is_far_ahead = least
            .duration_since(now)
            .is_ok_and(|ahead| ahead > Duration::from_secs(60));
        self.last = if is_far_ahead { now } else { now.max(least) };
        self.last
    }
}

#[cfg(test)]
mod tests;
