//! Calls about volumes.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_agent_engine::{Engine, Volume, VolumeError, VolumeRequest};
use http::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer;
use crate::api::Api;
use crate::audit;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::moment;

/// A new volume.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Wanted {
    name: String,
    driver: String,
    driver_opts: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    cluster_volume_spec: Option<Value>,
}

/// Answers a call.
pub(crate) async fn route(
    api: &Api,
    call: Call,
    rest: &[&str],
) -> Result<Response<Body>, ApiError> {
    match (&call.method, rest) {
        (&Method::GET, []) => list(api, &call).await,
        (&Method::POST, ["create"]) => create(api, call).await,
        (&Method::POST, ["prune"]) => prune(api, &call).await,
        (&Method::GET, [_, ..]) => {
            let volume = api.engine().inspect_volume(&rest.join("/"))?;
            Ok(answer::ok(&object(&volume)))
        }
        (&Method::DELETE, [_, ..]) => remove(api, &call, rest.join("/")).await,
        (&Method::PUT, [_, ..]) => Err(ApiError::not_implemented(
            "cluster volumes are not supported by berth",
        )),
        _ => Err(ApiError::page_not_found()),
    }
}

async fn list(api: &Api, call: &Call) -> Result<Response<Body>, ApiError> {
    let filters = call.query.filter_texts()?;
    let volumes = blocking(api, move |engine| engine.list_volumes(&filters)).await?;
    let objects: Vec<Value> = volumes.iter().map(object).collect();
    Ok(answer::ok(&json!({ "Volumes": objects, "Warnings": null })))
}

async fn create(api: &Api, mut call: Call) -> Result<Response<Body>, ApiError> {
    let wanted: Wanted = call.json().await?;
    if wanted.cluster_volume_spec.is_some() {
        let sentence = "cluster volumes are not supported by berth";
        return Err(ApiError::not_implemented(sentence));
    }
    let request = VolumeRequest {
        name: wanted.name,
        driver: wanted.driver,
        options: wanted.driver_opts,
        labels: wanted.labels,
    };
    let volume = blocking(api, move |engine| engine.create_volume(request)).await?;
    let response = answer::json(StatusCode::CREATED, &object(&volume));
    Ok(audit::about(response, format!("name={}", volume.name)))
}

async fn remove(api: &Api, call: &Call, name: String) -> Result<Response<Body>, ApiError> {
    let force = call.query.is_true("force");
    blocking(api, move |engine| engine.remove_volume(&name, force)).await?;
    Ok(answer::done())
}

async fn prune(api: &Api, call: &Call) -> Result<Response<Body>, ApiError> {
    let mut filters = call.query.filter_texts()?;
    // Before, named volumes went as well.
    if !call.version.since(42) && !call.query.filters()?.contains("all") {
        filters.push("all=true".to_owned());
    }
    let pruned = blocking(api, move |engine| engine.prune_volumes(&filters)).await?;
    Ok(answer::ok(&json!({
        "VolumesDeleted": pruned.removed,
        "SpaceReclaimed": pruned.reclaimed,
    })))
}

/// Describes a volume.
pub(crate) fn object(volume: &Volume) -> Value {
    let labels = &volume.labels;
    let options = &volume.options;
    let nullable = |map: &BTreeMap<String, String>| match map.is_empty() {
        true => Value::Null,
        false => json!(map),
    };
    json!({
        "CreatedAt": moment::rfc3339(volume.created_at),
        "Driver": "local",
        "Labels": nullable(labels),
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Options": nullable(options),
        "Scope": "local",
    })
}

async fn blocking<T: Send + 'static>(
    api: &Api,
    work: impl FnOnce(&Engine) -> Result<T, VolumeError> + Send + 'static,
) -> Result<T, ApiError> {
    let engine = Arc::clone(api.engine());
    let done = tokio::task::spawn_blocking(move || work(&engine)).await;
    Ok(done.map_err(|error| ApiError::cut_off(&error))??)
}
