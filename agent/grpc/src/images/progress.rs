//! How a pull or a push goes on, told while it does.

use berth_agent_engine::ErrorClass;
use berth_agent_images::{LayerPhase, Progress, ProgressSink};
use berth_proto::v1;
use futures::stream;
use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use crate::status;

/// Reports that wait for a slow client; what does not fit is dropped, as the next one tells more.
const WAITING_REPORTS: usize = 1024;

pub(super) fn sink() -> (ProgressSink, mpsc::Receiver<Progress>) {
    let (sender, reports) = mpsc::channel(WAITING_REPORTS);
    let sink = ProgressSink::new(move |progress| drop(sender.try_send(progress)));
    (sink, reports)
}

/// How reports become events of one of the two calls.
pub(super) struct Wrap<E> {
    pub(super) status: fn(String) -> E,
    pub(super) layer: fn(v1::LayerProgress) -> E,
}

/// Returns the reports of `work` while it goes on, then its result. Dropping the stream ends it.
pub(super) fn progress_then_result<E: Send + 'static>(
    reports: mpsc::Receiver<Progress>,
    wrap: Wrap<E>,
    work: impl Future<Output = Result<E, Status>> + Send + 'static,
) -> impl Stream<Item = Result<E, Status>> + Send {
    let task = AbortOnDropHandle::new(tokio::spawn(work));
    // The work owns the only sender, so that the reports end with it.
    let reports = stream::unfold(reports, |mut reports| async move {
        Some((reports.recv().await?, reports))
    })
    .map(move |progress| {
        Ok(match progress {
            Progress::Status(text) => (wrap.status)(text),
            Progress::Layer {
                id,
                phase,
                current_bytes,
                total_bytes,
            } => (wrap.layer)(layer_progress(id, phase, current_bytes, total_bytes)),
        })
    });
    let result = stream::once(async move {
        task.await.unwrap_or_else(|error| {
            let message = format!("the transfer was cut off: {error}");
            Err(status::build(
                ErrorClass::Internal,
                "interrupted",
                message,
                None,
            ))
        })
    });
    reports.chain(result)
}

fn layer_progress(
    id: String,
    phase: LayerPhase,
    current_bytes: u64,
    total_bytes: u64,
) -> v1::LayerProgress {
    use v1::layer_progress::Phase;
    let phase = match phase {
        LayerPhase::Waiting => Phase::Waiting,
        LayerPhase::Downloading => Phase::Downloading,
        LayerPhase::Verifying => Phase::Verifying,
        LayerPhase::Extracting => Phase::Extracting,
        LayerPhase::PullComplete => Phase::PullComplete,
        LayerPhase::AlreadyExists => Phase::AlreadyExists,
        LayerPhase::Preparing => Phase::Preparing,
        LayerPhase::Pushing => Phase::Pushing,
        LayerPhase::Pushed => Phase::Pushed,
        LayerPhase::Mounted => Phase::Mounted,
    };
    v1::LayerProgress {
        id,
        phase: phase.into(),
        current_bytes,
        total_bytes,
    }
}
