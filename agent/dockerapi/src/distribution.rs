//! What registries have.

use http::{Method, Response};
use serde_json::{Value, json};

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::images::names;
use crate::{registry_auth, router};

/// Answers a call.
pub(crate) async fn route(
    api: &Api,
    call: Call,
    rest: &[&str],
) -> Result<Response<Body>, ApiError> {
    let (name, verb) = router::name_and_verb(rest);
    if call.method != Method::GET || verb != "json" {
        return Err(ApiError::page_not_found());
    }
    let reference = names::reference(&name, "")?;
    let credentials = registry_auth::of_call(call.headers());
    let remote = api
        .engine()
        .images()
        .remote(&reference, &credentials)
        .await?;
    let platforms = remote.platforms.iter().map(|platform| {
        let mut object = json!({ "architecture": platform.architecture, "os": platform.os });
        if !platform.variant.is_empty() {
            object["variant"] = json!(platform.variant);
        }
        object
    });
    Ok(answer::ok(&json!({
        "Descriptor": {
            "mediaType": remote.media_type,
            "digest": remote.digest.to_string(),
            "size": remote.size_bytes,
        },
        "Platforms": platforms.collect::<Value>(),
    })))
}
