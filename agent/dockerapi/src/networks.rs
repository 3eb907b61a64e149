//! Calls about networks.

use std::collections::BTreeMap;

use berth_agent_engine::{NetworkError, NetworkOptions, PoolOptions};
use http::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer;
use crate::api::Api;
use crate::audit;
use crate::body::Body;
use crate::call::Call;
use crate::containers::EndpointSettings;
use crate::error::ApiError;
use crate::version::ApiVersion;

/// A new network.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Wanted {
    name: String,
    driver: String,
    scope: String,
    #[serde(rename = "EnableIPv4")]
    enable_ipv4: Option<bool>,
    #[serde(rename = "EnableIPv6")]
    enable_ipv6: Option<bool>,
    #[serde(rename = "IPAM")]
    ipam: Ipam,
    internal: bool,
    attachable: bool,
    ingress: bool,
    config_only: bool,
    config_from: ConfigFrom,
    options: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Ipam {
    driver: String,
    options: BTreeMap<String, String>,
    config: Vec<Pool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Pool {
    subnet: String,
    #[serde(rename = "IPRange")]
    ip_range: String,
    gateway: String,
    #[serde(alias = "AuxAddress")]
    auxiliary_addresses: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ConfigFrom {
    network: String,
}

/// A container that is to be connected or disconnected.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Connection {
    container: String,
    endpoint_config: EndpointSettings,
}

/// Answers a call.
pub(crate) async fn route(
    api: &Api,
    call: Call,
    rest: &[&str],
) -> Result<Response<Body>, ApiError> {
    let method = call.method.clone();
    match (&method, rest) {
        (&Method::GET, [] | [""]) => list(api, &call),
        (&Method::POST, ["create"]) => create(api, call).await,
        (&Method::POST, ["prune"]) => prune(api, &call).await,
        (&Method::POST, [name, "connect"]) => connect(api, call, name).await,
        (&Method::POST, [name, "disconnect"]) => disconnect(api, call, name).await,
        (&Method::GET, [name]) => {
            let network = api.engine().inspect_network(name).map_err(failure)?;
            Ok(answer::ok(&object(network.to_json(), call.version)))
        }
        (&Method::DELETE, [name]) => {
            api.engine().remove_network(name).await.map_err(failure)?;
            Ok(answer::done())
        }
        _ => Err(ApiError::page_not_found()),
    }
}

fn list(api: &Api, call: &Call) -> Result<Response<Body>, ApiError> {
    let networks = api.engine().list_networks(&call.query.filter_texts()?);
    let objects = networks.map_err(failure)?.into_iter().map(|network| {
        let mut object = object(network.to_json(), call.version);
        // Who is on it is told of single networks only.
        if call.version.since(28) {
            object["Containers"] = json!({});
        }
        object
    });
    Ok(answer::ok(&objects.collect::<Value>()))
}

async fn create(api: &Api, mut call: Call) -> Result<Response<Body>, ApiError> {
    let wanted: Wanted = call.json().await?;
    let about = format!("name={}", wanted.name);
    let created = api.engine().create_network(options(wanted)).await;
    let created = created.map_err(failure)?;
    let object = json!({ "Id": created.id, "Warning": created.warning });
    let about = format!("{about} id={}", created.id);
    let response = answer::json(StatusCode::CREATED, &object);
    Ok(audit::about(response, about))
}

async fn connect(api: &Api, mut call: Call, name: &str) -> Result<Response<Body>, ApiError> {
    let Connection {
        container,
        endpoint_config,
    } = call.json().await?;
    let asked = endpoint_config.into_options(name.to_owned());
    let connected = api.engine().connect_network(name, &container, asked).await;
    connected.map_err(failure)?;
    let about = format!("container={container}");
    Ok(audit::about(answer::plain(StatusCode::OK), about))
}

async fn disconnect(api: &Api, mut call: Call, name: &str) -> Result<Response<Body>, ApiError> {
    let connection: Connection = call.json().await?;
    let done = api
        .engine()
        .disconnect_network(name, &connection.container)
        .await;
    done.map_err(failure)?;
    let about = format!("container={}", connection.container);
    Ok(audit::about(answer::plain(StatusCode::OK), about))
}

async fn prune(api: &Api, call: &Call) -> Result<Response<Body>, ApiError> {
    let removed = api
        .engine()
        .prune_networks(&call.query.filter_texts()?)
        .await;
    let removed = removed.map_err(failure)?;
    let removed = if removed.is_empty() {
        Value::Null
    } else {
        json!(removed)
    };
    Ok(answer::ok(&json!({ "NetworksDeleted": removed })))
}

/// Gives an object the shape that clients of older versions know.
fn object(mut object: Value, version: ApiVersion) -> Value {
    if let (false, Value::Object(all)) = (version.since(48), &mut object) {
        all.remove("EnableIPv4");
    }
    object
}

fn options(wanted: Wanted) -> NetworkOptions {
    let pool = |pool: Pool| PoolOptions {
        subnet: pool.subnet,
        gateway: pool.gateway,
        ip_range: pool.ip_range,
        aux_addresses: pool.auxiliary_addresses,
    };
    NetworkOptions {
        name: wanted.name,
        driver: wanted.driver,
        ipam_driver: wanted.ipam.driver,
        ipam_options: wanted.ipam.options,
        pools: wanted.ipam.config.into_iter().map(pool).collect(),
        internal: wanted.internal,
        attachable: wanted.attachable,
        ingress: wanted.ingress,
        config_only: wanted.config_only,
        config_from: wanted.config_from.network,
        scope: wanted.scope,
        enable_ipv4: wanted.enable_ipv4,
        enable_ipv6: wanted.enable_ipv6,
        options: wanted.options,
        labels: wanted.labels,
    }
}

/// What nobody may do has a status of its own here.
fn failure(error: NetworkError) -> ApiError {
    let is_forbidden = matches!(
        error,
        NetworkError::Forbidden(_) | NetworkError::InUse { .. } | NetworkError::Lends(_)
    );
    let error = ApiError::from(error);
    if is_forbidden {
        error.with_status(StatusCode::FORBIDDEN)
    } else {
        error
    }
}
