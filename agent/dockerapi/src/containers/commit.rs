//! Images of containers.

use berth_agent_build::apply_changes;
use berth_agent_engine::CommitOptions;
use berth_agent_images::{ContainerDefaults, ImageConfiguration};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::images::names;

/// Makes an image.
pub(crate) async fn commit(api: &Api, mut call: Call) -> Result<Response<Body>, ApiError> {
    let described: Value = call.json_or_default().await?;
    let query = &call.query;
    let reference = names::optional(query.text("repo"), query.text("tag"))?;
    let mut config = ImageConfiguration {
        config: configuration(described)?,
        ..ImageConfiguration::default()
    };
    let changes: Vec<String> = query.all("changes").map(str::to_owned).collect();
    apply_changes(&mut config, &changes)
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    let options = CommitOptions {
        reference,
        author: query.text("author").to_owned(),
        message: query.text("comment").to_owned(),
        changes: config.config,
        pause: query.is_true_or("pause", true),
    };
    let id = api
        .engine()
        .commit(query.text("container"), options)
        .await?;
    Ok(answer::json(
        StatusCode::CREATED,
        &json!({ "Id": id.to_string() }),
    ))
}

/// Takes from a container's configuration what an image has of it.
fn configuration(mut described: Value) -> Result<ContainerDefaults, ApiError> {
    if let Value::Object(object) = &mut described {
        const KNOWN: [&str; 13] = [
            "User",
            "ExposedPorts",
            "Env",
            "Entrypoint",
            "Cmd",
            "Volumes",
            "WorkingDir",
            "Labels",
            "StopSignal",
            "StopTimeout",
            "Shell",
            "OnBuild",
            "Healthcheck",
        ];
        object.retain(|key, _| KNOWN.contains(&key.as_str()));
    }
    if described.is_null() {
        return Ok(ContainerDefaults::default());
    }
    serde_json::from_value(described)
        .map_err(|error| ApiError::bad_request(format!("invalid JSON: {error}")))
}
