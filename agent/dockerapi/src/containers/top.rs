//! Processes of containers.

use std::sync::Arc;

use http::Response;
use serde_json::json;

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;

/// Lists processes.
pub(super) async fn top(api: &Api, call: &Call, name: &str) -> Result<Response<Body>, ApiError> {
    let arguments = call.query.text("ps_args").split_whitespace();
    let arguments: Vec<String> = arguments.map(str::to_owned).collect();
    let (engine, name) = (Arc::clone(api.engine()), name.to_owned());
    // Reads files of processes.
    let table = tokio::task::spawn_blocking(move || engine.top(&name, &arguments))
        .await
        .map_err(|error| ApiError::cut_off(&error))??;
    Ok(answer::ok(&json!({
        "Titles": table.titles,
        "Processes": table.processes,
    })))
}
