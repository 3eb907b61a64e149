//! Removing images that nobody needs.

use std::sync::Arc;

use http::Response;
use serde_json::{Value, json};

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::images::remove;

/// Removes those that pass the filters.
pub(super) async fn prune(api: &Api, call: &Call) -> Result<Response<Body>, ApiError> {
    let filters = call.query.filter_texts()?;
    let engine = Arc::clone(api.engine());
    // Deletes trees.
    let work = tokio::task::spawn_blocking(move || engine.prune_images(&filters));
    let pruned = work.await.map_err(|error| ApiError::cut_off(&error))??;
    let removed: Vec<Value> = pruned.removed.into_iter().map(remove::line).collect();
    Ok(answer::ok(&json!({
        "ImagesDeleted": if removed.is_empty() { Value::Null } else { json!(removed) },
        "SpaceReclaimed": pruned.reclaimed,
    })))
}
