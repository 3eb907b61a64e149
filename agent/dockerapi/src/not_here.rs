//! What berth does not do, in the words in which Docker says so: clients take them for a machine
//! that is in no swarm and has no plugins.

use http::{Method, Response, StatusCode};
use serde_json::json;

use crate::answer;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;

/// What Docker says of everything about swarms on a machine that is in none.
const NO_SWARM: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";
/// What is said to who wants to begin one.
const SWARMS: &str = "swarms are not supported by berth";
const PLUGINS: &str = "plugins are not supported by berth";

/// Answers calls about swarms, services, nodes, tasks, secrets and configs.
pub(crate) fn swarm(call: &Call, rest: &[&str]) -> Result<Response<Body>, ApiError> {
    let is_swarm = call.path.starts_with("/swarm");
    match (&call.method, rest) {
        (&Method::POST, ["init" | "join"]) if is_swarm => Err(ApiError::not_implemented(SWARMS)),
        (&Method::POST, ["leave"]) if is_swarm => {
            Err(unavailable("This node is not part of a swarm"))
        }
        _ => Err(unavailable(NO_SWARM)),
    }
}

fn unavailable(sentence: &str) -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, sentence)
}

/// Answers calls about plugins: there are none.
pub(crate) fn plugins(call: &Call, rest: &[&str]) -> Result<Response<Body>, ApiError> {
    match (&call.method, rest) {
        (&Method::GET, []) => Ok(answer::ok(&json!([]))),
        (&Method::POST, ["pull" | "create"]) | (&Method::GET, ["privileges"]) => {
            Err(ApiError::not_implemented(PLUGINS))
        }
        (_, [name, ..]) => Err(ApiError::not_found(format!("plugin {name:?} not found"))),
        _ => Err(ApiError::page_not_found()),
    }
}
