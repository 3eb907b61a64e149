//! Everything about one container.

use std::sync::Arc;

use http::Response;
use serde_json::{Value, json};

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::version::ApiVersion;

/// Answers with the object.
pub(super) async fn inspect(
    api: &Api,
    call: &Call,
    name: &str,
) -> Result<Response<Body>, ApiError> {
    let with_size = call.query.is_true("size");
    let (engine, owned) = (Arc::clone(api.engine()), name.to_owned());
    let mut object = if with_size {
        // Walks over files.
        tokio::task::spawn_blocking(move || engine.inspect(&owned, true))
            .await
            .map_err(|error| ApiError::cut_off(&error))??
    } else {
        engine.inspect(&owned, false)?
    };
    adapt(&mut object, call.version);
    Ok(answer::ok(&object))
}

/// Gives the object the shape that clients of older versions know.
fn adapt(object: &mut Value, version: ApiVersion) {
    if !version.since(45) {
        add_short_id(object);
    }
    if !version.since(44) {
        for_each_endpoint(object, |endpoint| {
            endpoint.remove("DNSNames");
        });
    }
    if !version.since(46) {
        remove(&mut object["HostConfig"], "Annotations");
    }
    if !version.since(42) {
        for key in ["KernelMemory", "KernelMemoryTCP"] {
            if object["HostConfig"].get(key).is_none() {
                object["HostConfig"][key] = json!(0);
            }
        }
    }
}

/// Older clients find the short id among the names on networks that users define.
fn add_short_id(object: &mut Value) {
    let id = object["Id"].as_str().unwrap_or_default();
    let short = json!(id[..id.len().min(12)]);
    let mode = object["HostConfig"]["NetworkMode"].as_str();
    if matches!(mode, Some("default" | "bridge" | "host" | "none")) {
        return;
    }
    for_each_endpoint(object, |endpoint| match endpoint.get_mut("Aliases") {
        Some(Value::Array(names)) if names.contains(&short) => {}
        Some(Value::Array(names)) => names.push(short.clone()),
        _ => drop(endpoint.insert("Aliases".to_owned(), json!([short]))),
    });
}

fn for_each_endpoint(
    object: &mut Value,
    mut change: impl FnMut(&mut serde_json::Map<String, Value>),
) {
    let networks = object["NetworkSettings"]["Networks"].as_object_mut();
    for endpoint in networks.into_iter().flat_map(serde_json::Map::values_mut) {
        if let Value::Object(endpoint) = endpoint {
            change(endpoint);
        }
    }
}

fn remove(object: &mut Value, key: &str) {
    if let Value::Object(object) = object {
        object.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::{MAX_VERSION, MIN_VERSION};

    #[test]
    fn older_clients_get_what_they_know() {
        let id = "0123456789abcdef";
        let new = json!({
            "Id": id,
            "HostConfig": { "NetworkMode": "mine", "Annotations": {} },
            "NetworkSettings": { "Networks": { "mine": { "Aliases": null, "DNSNames": ["a"] } } },
        });
        let mut object = new.clone();
        adapt(&mut object, MAX_VERSION);
        assert_eq!(object, new);
        adapt(&mut object, MIN_VERSION);
        let endpoint = &object["NetworkSettings"]["Networks"]["mine"];
        assert_eq!(endpoint, &json!({ "Aliases": ["0123456789ab"] }));
        assert_eq!(object["HostConfig"]["KernelMemory"], 0);
        assert!(object["HostConfig"].get("Annotations").is_none());
    }
}
