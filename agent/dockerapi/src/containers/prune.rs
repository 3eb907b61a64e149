//! Removing all containers that do not run.

use http::Response;
use serde_json::{Value, json};

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;

/// Removes those that pass the filters.
pub(super) async fn prune(api: &Api, call: &Call) -> Result<Response<Body>, ApiError> {
    let filters = call.query.filter_texts()?;
    let pruned = api.engine().prune_containers(&filters).await?;
    let removed = if pruned.removed.is_empty() {
        Value::Null
    } else {
        json!(pruned.removed)
    };
    Ok(answer::ok(&json!({
        "ContainersDeleted": removed,
        "SpaceReclaimed": pruned.reclaimed,
    })))
}
