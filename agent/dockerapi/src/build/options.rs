//! What is asked of a build.

use std::collections::BTreeMap;

use berth_agent_build::BuildOptions;
use serde::de::DeserializeOwned;

use crate::call::Call;
use crate::decode;
use crate::error::ApiError;
use crate::registry_auth;

/// Reads the parameters of a build.
///
/// # Errors
/// When one makes no sense, or is for another builder.
pub(super) fn options(call: &Call) -> Result<BuildOptions, ApiError> {
    let query = &call.query;
    if query.text("version") == "2" {
        return Err(ApiError::bad_request(
            "BuildKit is not served by this agent: use the classic builder (DOCKER_BUILDKIT=0)",
        ));
    }
    if query.is_true("squash") {
        let sentence = "squash is only supported with experimental mode";
        return Err(ApiError::bad_request(sentence));
    }
    if !matches!(query.text("outputs"), "" | "[]" | "null") {
        let sentence = "outputs are not supported by the classic builder";
        return Err(ApiError::bad_request(sentence));
    }
    // A value of null takes the client's own variable, which it does not have.
    let build_args: BTreeMap<String, String> = map(query.text("buildargs"))?;
    let tags = query.all("t").filter(|tag| !tag.is_empty());
    Ok(BuildOptions {
        tags: tags.map(str::to_owned).collect(),
        dockerfile: query.text("dockerfile").to_owned(),
        dockerfile_text: None,
        build_args,
        target: query.text("target").to_owned(),
        no_cache: query.is_true("nocache"),
        labels: map(query.text("labels"))?,
        pull: query.is_true("pull"),
        platform: query.text("platform").to_owned(),
        network_mode: query.text("networkmode").to_owned(),
        registry_auths: registry_auth::of_build(call.headers())?,
    })
}

fn map<T: DeserializeOwned + Default>(text: &str) -> Result<T, ApiError> {
    match text {
        "" | "null" => Ok(T::default()),
        text => decode::json(text.as_bytes()),
    }
}
