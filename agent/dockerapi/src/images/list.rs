//! Lists of images.

use std::sync::Arc;

use berth_agent_engine::{Engine, created_seconds};
use berth_agent_images::Image;
use http::Response;
use serde_json::{Value, json};

use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::version::ApiVersion;

/// Answers with those that pass the filters.
pub(super) async fn list(api: &Api, call: &Call) -> Result<Response<Body>, ApiError> {
    let filters = call.query.filter_texts()?;
    // Before 1.41 a parameter of its own, which is older than the filters.
    let reference = if call.version.since(41) {
        String::new()
    } else {
        call.query.text("filter").to_owned()
    };
    let all = call.query.is_true("all");
    let with_shared = call.version.since(42) && call.query.is_true("shared-size");
    let version = call.version;
    let engine = Arc::clone(api.engine());
    let work = tokio::task::spawn_blocking(move || {
        let images = engine.list_images(&filters, &reference, all)?;
        let mut objects: Vec<Value> = images.iter().map(|image| summary(image, version)).collect();
        if with_shared {
            share(&engine, &mut objects)?;
        }
        Ok::<Vec<Value>, ApiError>(objects)
    });
    let images = work.await.map_err(|error| ApiError::cut_off(&error))??;
    Ok(super::list_of(&images))
}

/// Adds what is shared with other images.
fn share(engine: &Engine, objects: &mut [Value]) -> Result<(), ApiError> {
    let usage = engine.image_usage()?;
    for object in objects {
        let own = usage
            .iter()
            .find(|usage| object["Id"] == usage.image.id.as_str());
        if let Some(own) = own {
            object["SharedSize"] = json!(own.shared_size);
            object["Containers"] = json!(own.n_users);
        }
    }
    Ok(())
}

/// Describes an image in a list.
pub(crate) fn summary(image: &Image, version: ApiVersion) -> Value {
    let labels = &image.config.config.labels;
    let none = |names: &Vec<String>, nothing: &str| match names.is_empty() {
        true if version.since(43) => json!([]),
        true => json!([nothing]),
        false => json!(names),
    };
    let mut object = json!({
        // Not counted; nor is what is shared.
        "Containers": -1,
        "Created": created_seconds(image),
        "Id": image.id.as_str(),
        "Labels": if labels.is_empty() { Value::Null } else { json!(labels) },
        "ParentId": image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        "RepoDigests": none(&image.repo_digests, "<none>@<none>"),
        "RepoTags": none(&image.repo_tags, "<none>:<none>"),
        "SharedSize": -1,
        "Size": image.size,
    });
    if !version.since(44) {
        object["VirtualSize"] = json!(image.size);
    }
    object
}
