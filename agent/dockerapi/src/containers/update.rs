//! Changing the limits of containers.

use http::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::containers::options::{Resources, RestartPolicy};
use crate::error::ApiError;

/// What is to be changed.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Changes {
    #[serde(flatten)]
    resources: Resources,
    restart_policy: Option<RestartPolicy>,
}

/// Changes limits.
pub(super) async fn update(
    api: &Api,
    mut call: Call,
    name: &str,
) -> Result<Response<Body>, ApiError> {
    let Changes {
        resources,
        restart_policy,
    } = call.json().await?;
    let mut options = resources.into_update()?;
    options.restart_policy = restart_policy.map(RestartPolicy::into_options);
    let warnings = api.engine().update(name, options).await?;
    let warnings = if warnings.is_empty() {
        Value::Null
    } else {
        json!(warnings)
    };
    Ok(answer::ok(&json!({ "Warnings": warnings })))
}
