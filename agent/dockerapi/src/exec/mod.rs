//! Calls about further commands in containers.

pub(crate) mod create;
mod inspect;
mod start;

use http::{Method, Response, StatusCode};

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::containers::terminal_size;
use crate::error::ApiError;

/// Answers a call.
pub(crate) async fn route(
    api: &Api,
    call: Call,
    rest: &[&str],
) -> Result<Response<Body>, ApiError> {
    match (&call.method, rest) {
        (&Method::POST, [id, "start"]) => start::start(api, call, id).await,
        (&Method::POST, [id, "resize"]) => {
            api.engine().resize_exec(id, terminal_size(&call)?).await?;
            Ok(answer::plain(StatusCode::OK))
        }
        (&Method::GET, [id, "json"]) => inspect::inspect(api, id),
        _ => Err(ApiError::page_not_found()),
    }
}
