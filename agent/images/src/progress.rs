//! What pulls and pushes tell while they work.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::Digest;

/// One thing to show to whoever waits for a pull or push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A line for people.
    Status(String),
    /// How far one layer is.
    Layer {
        /// First twelve digits of the layer's digest.
        id: String,
        /// What is being done with it.
        phase: LayerPhase,
        /// How many bytes of it are done.
        current_bytes: u64,
        /// How many there are; 0 when that is not known.
        total_bytes: u64,
    },
}

/// What is being done with a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerPhase {
    /// It waits for its turn.
    Waiting,
    /// It arrives, and is unpacked while it does.
    Downloading,
    /// All of it has arrived and the digest is compared.
    Verifying,
    /// It is being unpacked.
    Extracting,
    /// It is here.
    PullComplete,
    /// It was here before.
    AlreadyExists,
    /// It is being packed or looked up in the registry.
    Preparing,
    /// It is being sent.
    Pushing,
    /// The registry has it.
    Pushed,
    /// The registry took it from another repository of its own.
    Mounted,
}

/// Takes progress; called from any thread and must not block.
#[derive(Clone)]
pub struct ProgressSink(Arc<dyn Fn(Progress) + Send + Sync>);

/// Follows one layer and thins out its reports.
#[derive(Debug)]
pub(crate) struct LayerProgress {
    sink: ProgressSink,
    id: String,
    last: Mutex<Option<(LayerPhase, Instant)>>,
}

/// Ten reports a second are what an eye can use.
const INTERVAL: Duration = Duration::from_millis(100);

impl ProgressSink {
    /// Makes a sink of a function.
    pub fn new(function: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(function))
    }

    /// Makes a sink for when nobody listens.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_progress| {})
    }

    pub(crate) fn status(&self, text: impl Into<String>) {
        (self.0)(Progress::Status(text.into()));
    }

    pub(crate) fn layer(&self, digest: &Digest) -> LayerProgress {
        LayerProgress {
            sink: self.clone(),
            id: digest.short().to_owned(),
            last: Mutex::new(None),
        }
    }
}

impl fmt::Debug for ProgressSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProgressSink")
    }
}

impl LayerProgress {
    /// Reports, unless the last report of the same phase was a moment ago.
    pub(crate) fn report(&self, phase: LayerPhase, current_bytes: u64, total_bytes: u64) {
        let now = Instant::now();
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_some_and(|(before, at)| before == phase && now - at < INTERVAL) {
                return;
            }
            *last = Some((phase, now));
        }
        (self.sink.0)(Progress::Layer {
            id: self.id.clone(),
            phase,
            current_bytes,
            total_bytes,
        });
    }
}
