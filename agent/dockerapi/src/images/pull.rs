//! Pulling images.

use std::sync::{Arc, Mutex, PoisonError};

use berth_agent_images::{Progress, ProgressSink};
use http::Response;
use tokio::sync::mpsc;

use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::images::names;
use crate::registry_auth;
use crate::streams::progress::Line;
use crate::streams::transfer::{self, Failure};

/// Lines that wait for a slow client; reports beyond are left out.
pub(super) const WAITING: usize = 256;

/// Sends progress as lines; the first sentence waits until something has arrived, so that a missing
/// image is told by the call's status.
#[derive(Clone)]
struct Sender {
    lines: mpsc::Sender<Line>,
    held_back: Arc<Mutex<Option<Line>>>,
}

/// Pulls.
pub(super) async fn pull(api: &Api, call: &Call) -> Result<Response<Body>, ApiError> {
    let query = &call.query;
    let reference = names::reference(query.text("fromImage"), query.text("tag"))?;
    let platform = names::platform(query.text("platform"))?;
    let credentials = registry_auth::of_call(call.headers());
    let engine = Arc::clone(api.engine());
    let (lines, receiver) = mpsc::channel(WAITING);
    let sender = Sender {
        lines,
        held_back: Arc::default(),
    };
    let work = async move {
        let sink = sender.clone().sink();
        let images = engine.images();
        let pulled = images
            .pull(&reference, &credentials, platform.as_ref(), &sink)
            .await;
        drop(sink);
        let pulled = pulled?;
        sender.release();
        let name = pulled.reference.familiar();
        engine.image_event("pull", &name, &pulled.reference.familiar_name());
        let news = if pulled.newer {
            "Downloaded newer image for"
        } else {
            "Image is up to date for"
        };
        for line in [
            format!("Digest: {}", pulled.digest),
            format!("Status: {news} {name}"),
        ] {
            // A client that is gone does not need them.
            let _ = sender.lines.send(Line::status(line)).await;
        }
        Ok::<(), Failure>(())
    };
    transfer::answer(receiver, work).await
}

impl Sender {
    fn sink(self) -> ProgressSink {
        ProgressSink::new(move |progress| {
            if let Progress::Status(_) = progress {
                let mut held_back = self
                    .held_back
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *held_back = Some(Line::of(progress));
                return;
            }
            self.release();
            // Who reads too slowly gets fewer reports.
            drop(self.lines.try_send(Line::of(progress)));
        })
    }

    /// Sends what was held back.
    fn release(&self) {
        let mut held_back = self
            .held_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = held_back.take() {
            drop(self.lines.try_send(line));
        }
    }
}
