//! What a build tells while it goes on.

use berth_agent_images::ImageId;
use tokio::sync::mpsc;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEvent {
    /// A step begins or has ended.
    Step(StepEvent),
    /// A piece of what a command writes.
    Output {
        /// 1: standard output, 2: standard error.
        stream: u8,
        /// The bytes.
        data: Vec<u8>,
    },
    /// A sentence that is no error.
    Warning(String),
}

/// A step begins or has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepEvent {
    /// From 1.
    pub number: u32,
    /// How many there are; grows when a base image brings steps of its own.
    pub total: u32,
    /// The instruction, its lines joined.
    pub instruction: String,
    /// Line in the Dockerfile, from 1.
    pub line: u32,
    /// What of it.
    pub status: StepStatus,
}

/// Where a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepStatus {
    /// It begins.
    Started,
    /// It was done before; the image after it.
    Cached(Option<ImageId>),
    /// It is done; the image after it.
    Finished(Option<ImageId>),
}

/// Nobody listens to the build any more, so that it stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client has gone")]
pub struct Gone;

/// Where the events of a build go.
#[derive(Debug, Clone)]
pub(crate) struct Events(pub(crate) mpsc::Sender<BuildEvent>);

// === impl Events ===

impl Events {
    pub(crate) async fn send(&self, event: BuildEvent) -> Result<(), Gone> {
        // The unsent event carries nothing that matters to anybody.
        self.0.send(event).await.or(Err(Gone))
    }
}
