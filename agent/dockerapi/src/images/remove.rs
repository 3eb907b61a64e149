//! Removing images and names of them.

use std::sync::Arc;

use berth_agent_images::Removed;
use http::Response;
use serde_json::{Value, json};

use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;

/// Removes a name, and the image with its last one.
pub(super) async fn remove(
    api: &Api,
    call: &Call,
    name: String,
) -> Result<Response<Body>, ApiError> {
    let force = call.query.is_true("force");
    let keep_parents = call.query.is_true("noprune");
    let engine = Arc::clone(api.engine());
    // Deletes trees.
    let work = tokio::task::spawn_blocking(move || engine.remove_image(&name, force, keep_parents));
    let removed = work.await.map_err(|error| ApiError::cut_off(&error))??;
    let lines: Vec<Value> = removed.into_iter().map(line).collect();
    Ok(super::list_of(&lines))
}

/// Describes what was removed.
pub(super) fn line(removed: Removed) -> Value {
    match removed {
        Removed::Untagged(name) => json!({ "Untagged": name }),
        Removed::Deleted(id) => json!({ "Deleted": id }),
    }
}
