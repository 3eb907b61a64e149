//! Everything about one image.

use http::Response;
use serde_json::{Value, json};

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;

/// Answers with the object.
pub(super) fn inspect(api: &Api, call: &Call, name: &str) -> Result<Response<Body>, ApiError> {
    let mut object = api.engine().inspect_image(name)?;
    if !call.version.since(44) {
        object["VirtualSize"] = object["Size"].clone();
    }
    let is_missing = |value: Option<&Value>| value.is_none_or(Value::is_null);
    if let Value::Object(all) = &mut object {
        if !call.version.since(44) && is_missing(all.get("Created")) {
            all.insert("Created".to_owned(), json!(crate::moment::NEVER));
        }
        if is_missing(all.get("Variant")) {
            all.remove("Variant");
        }
    }
    Ok(answer::ok(&object))
}
