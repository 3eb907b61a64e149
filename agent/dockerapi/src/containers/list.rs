//! Lists of containers.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_agent_engine::{
    ContainerSummary, Engine, ListDetails, ListError, ListOptions, PortSummary,
};
use http::Response;
use serde::Serialize;
use serde_json::{Value, json};

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::moment;

/// One container of a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Summary {
    id: String,
    names: Vec<String>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    command: String,
    created: u64,
    ports: Vec<Port>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_rw: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_root_fs: Option<u64>,
    labels: BTreeMap<String, String>,
    state: &'static str,
    status: String,
    host_config: Value,
    network_settings: Value,
    mounts: Value,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Port {
    #[serde(rename = "IP", skip_serializing_if = "String::is_empty")]
    ip: String,
    private_port: u16,
    #[serde(skip_serializing_if = "is_zero")]
    public_port: u16,
    #[serde(rename = "Type")]
    kind: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_zero(port: &u16) -> bool {
    *port == 0
}

/// Answers with those that pass the filters.
pub(super) async fn list(api: &Api, call: &Call) -> Result<Response<Body>, ApiError> {
    let limit = call.query.number("limit")?.unwrap_or_default();
    let options = ListOptions {
        all: call.query.is_true("all"),
        filters: call.query.filter_texts()?,
        limit: usize::try_from(limit).unwrap_or_default(),
        size: call.query.is_true("size"),
    };
    if !options.size {
        return Ok(answer::ok(&summaries(api.engine(), &options)?));
    }
    let engine = Arc::clone(api.engine());
    // Walks over files.
    let work = tokio::task::spawn_blocking(move || summaries(&engine, &options));
    let summaries = work.await.map_err(|error| ApiError::cut_off(&error))??;
    Ok(answer::ok(&summaries))
}

/// Lists containers.
///
/// # Errors
/// When a filter is wrong.
fn summaries(engine: &Engine, options: &ListOptions) -> Result<Vec<Summary>, ListError> {
    let found = engine.list(options)?.into_iter();
    Ok(found
        .filter_map(|container| details(engine, container, options.size))
        .collect())
}

/// Describes a container in a list; nothing when it has just been removed.
pub(crate) fn details(
    engine: &Engine,
    container: ContainerSummary,
    with_size: bool,
) -> Option<Summary> {
    let details = engine.list_details(&container.id).ok()?;
    Some(summary(container, details, with_size))
}

fn summary(container: ContainerSummary, details: ListDetails, with_size: bool) -> Summary {
    Summary {
        names: vec![format!("/{}", container.name)],
        id: container.id,
        image: container.image,
        image_id: container.image_id,
        command: container.command,
        created: moment::since_epoch(container.created).as_secs(),
        ports: container.ports.into_iter().map(port).collect(),
        size_rw: with_size.then_some(container.size_rw),
        size_root_fs: with_size.then_some(container.size_root_fs),
        labels: container.labels,
        state: container.phase.word(),
        status: container.status,
        host_config: json!({ "NetworkMode": details.network_mode }),
        network_settings: json!({ "Networks": details.networks }),
        mounts: details.mounts,
    }
}

fn port(port: PortSummary) -> Port {
    Port {
        ip: port.host_ip,
        private_port: port.container_port,
        public_port: port.host_port,
        kind: port.protocol,
    }
}
