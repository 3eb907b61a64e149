//! Calls about the agent itself.

mod disk_usage;
mod events;
mod info;
mod login;
mod ping;
mod version;

use http::{Method, Response};

use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;

/// Answers a call.
pub(crate) async fn route(
    api: &Api,
    call: Call,
    segments: &[&str],
) -> Result<Response<Body>, ApiError> {
    match (&call.method, segments) {
        (&Method::GET | &Method::HEAD, ["_ping"]) => Ok(ping::ping()),
        (&Method::GET, ["version"]) => Ok(version::version(api)),
        (&Method::GET, ["info"]) => info::info(api, &call).await,
        (&Method::GET, ["events"]) => events::events(api, &call),
        (&Method::GET, ["system", "df"]) => disk_usage::disk_usage(api, &call).await,
        (&Method::POST, ["auth"]) => login::login(api, call).await,
        _ => Err(ApiError::page_not_found()),
    }
}
