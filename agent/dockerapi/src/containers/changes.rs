//! What a container changed of its image's files.

use berth_agent_engine::ChangeKind;
use http::Response;
use serde_json::{Value, json};

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::error::ApiError;

/// Lists changes; null for none, as Docker.
pub(super) async fn changes(api: &Api, name: &str) -> Result<Response<Body>, ApiError> {
    let changes = api.engine().changes(name).await?;
    if changes.is_empty() {
        return Ok(answer::ok(&Value::Null));
    }
    let objects = changes.iter().map(|change| {
        let kind = match change.kind {
            ChangeKind::Modified => 0,
            ChangeKind::Added => 1,
            ChangeKind::Deleted => 2,
        };
        json!({ "Path": change.path.to_string_lossy(), "Kind": kind })
    });
    Ok(answer::ok(&objects.collect::<Value>()))
}
