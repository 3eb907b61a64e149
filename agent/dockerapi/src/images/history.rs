//! How images came to be.

use berth_agent_engine::unix_seconds;
use http::Response;
use serde_json::{Value, json};

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::error::ApiError;

/// What a step is called whose image is not here.
const MISSING: &str = "<missing>";

/// Lists the steps, the last one first.
pub(super) fn history(api: &Api, name: &str) -> Result<Response<Body>, ApiError> {
    let steps = api.engine().image_history(name)?;
    let objects = steps.iter().map(|step| {
        let entry = &step.entry;
        let tags = if step.tags.is_empty() {
            Value::Null
        } else {
            json!(step.tags)
        };
        let id = step.image.as_ref().map_or(MISSING, |image| image.as_str());
        json!({
            "Comment": entry.comment.clone().unwrap_or_default(),
            "Created": entry.created.as_deref().map_or(0, unix_seconds),
            "CreatedBy": entry.created_by.clone().unwrap_or_default(),
            "Id": id,
            "Size": step.size,
            "Tags": tags,
        })
    });
    Ok(answer::ok(&objects.collect::<Value>()))
}
