//! What takes how much room.

use std::sync::Arc;

use berth_agent_engine::{DiskUsage, Engine, ImageUsage, VolumeUsage};
use http::Response;
use serde_json::{Value, json};

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::containers::list::details;
use crate::error::ApiError;
use crate::images::list::summary;
use crate::version::ApiVersion;
use crate::volumes;

/// Answers with images, containers, volumes and the cache of builds, or with those that are asked for.
pub(super) async fn disk_usage(api: &Api, call: &Call) -> Result<Response<Body>, ApiError> {
    let wanted: Vec<&str> = call.query.all("type").collect();
    const KINDS: [&str; 4] = ["image", "container", "volume", "build-cache"];
    if let Some(odd) = wanted.iter().find(|kind| !KINDS.contains(kind)) {
        return Err(ApiError::bad_request(format!("unknown object type: {odd}")));
    }
    let engine = Arc::clone(api.engine());
    // Walks over files.
    let work = tokio::task::spawn_blocking(move || {
        let usage = engine.disk_usage();
        usage.map(|usage| (usage, engine))
    });
    let (usage, engine) = work.await.map_err(|error| ApiError::cut_off(&error))??;
    let mut object = describe(&engine, usage, call.version);
    let is_unwanted = |kind: &str| !wanted.is_empty() && !wanted.contains(&kind);
    for (kind, keys) in [
        ("image", &["Images", "LayersSize"][..]),
        ("container", &["Containers"]),
        ("volume", &["Volumes"]),
        ("build-cache", &["BuildCache"]),
    ] {
        for key in keys.iter().filter(|_| is_unwanted(kind)) {
            object[*key] = if *key == "LayersSize" {
                json!(0)
            } else {
                Value::Null
            };
        }
    }
    Ok(answer::ok(&object))
}

fn describe(engine: &Engine, usage: DiskUsage, version: ApiVersion) -> Value {
    let containers = usage.containers.into_iter();
    let containers = containers.filter_map(|container| details(engine, container, true));
    json!({
        "LayersSize": usage.layers_size,
        "Images": usage.images.iter().map(|usage| image(usage, version)).collect::<Value>(),
        "Containers": containers.collect::<Vec<_>>(),
        "Volumes": usage.volumes.iter().map(volume).collect::<Value>(),
        "BuildCache": [],
    })
}

fn image(usage: &ImageUsage, version: ApiVersion) -> Value {
    let mut object = summary(&usage.image, version);
    object["Containers"] = json!(usage.n_users);
    object["SharedSize"] = json!(usage.shared_size);
    object
}

fn volume(usage: &VolumeUsage) -> Value {
    let mut object = volumes::object(&usage.volume);
    object["UsageData"] = json!({ "RefCount": usage.n_users, "Size": usage.size });
    object
}
