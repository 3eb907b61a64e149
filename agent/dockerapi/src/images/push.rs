//! Pushing images.

use std::sync::Arc;

use berth_agent_images::ProgressSink;
use http::Response;
use serde_json::json;
use tokio::sync::mpsc;

use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::images::names;
use crate::images::pull::WAITING;
use crate::registry_auth;
use crate::streams::progress::Line;
use crate::streams::transfer::{self, Failure};

/// Pushes. As with Docker, all that goes wrong is told in lines.
pub(super) fn push(api: &Api, call: &Call, name: &str) -> Result<Response<Body>, ApiError> {
    let reference = names::reference(name, call.query.text("tag"))?;
    let credentials = registry_auth::of_call(call.headers());
    let engine = Arc::clone(api.engine());
    let (lines, receiver) = mpsc::channel(WAITING);
    let work = async move {
        let reports = lines.clone();
        let sink = ProgressSink::new(move |progress| {
            // Who reads too slowly gets fewer reports.
            drop(reports.try_send(Line::of(progress)));
        });
        let pushed = engine.images().push(&reference, &credentials, &sink).await;
        drop(sink);
        let pushed = pushed?;
        engine.image_event("push", &reference.familiar(), &reference.familiar_name());
        let (tag, digest, size) = (pushed.tag, pushed.digest, pushed.size_bytes);
        for line in [
            Line::status(format!("{tag}: digest: {digest} size: {size}")),
            Line::aux(json!({ "Tag": tag, "Digest": digest.to_string(), "Size": size })),
        ] {
            // A client that is gone does not need them.
            let _ = lines.send(line).await;
        }
        Ok::<(), Failure>(())
    };
    Ok(transfer::answer_at_once(receiver, work))
}
