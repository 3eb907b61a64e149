//! Starting, ending, freezing, renaming and removing containers, and the size of their terminals.

use berth_agent_engine::{RemoveOptions, StopOptions, TerminalSize};
use http::{Response, StatusCode};

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;

/// Starts one. That it runs already is told by a status of its own.
pub(super) async fn start(api: &Api, call: Call, name: &str) -> Result<Response<Body>, ApiError> {
    if call.has_body() && call.version.since(24) && has_description(&call) {
        let sentence = "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24";
        return Err(ApiError::bad_request(sentence));
    }
    if api.engine().phase(name)?.has_process() {
        if api.engine().phase(name)? == berth_agent_engine::Phase::Paused {
            api.engine().start(name).await?;
        }
        return Ok(answer::plain(StatusCode::NOT_MODIFIED));
    }
    api.engine().start(name).await?;
    Ok(answer::done())
}

/// Whether the body may be more than an empty object, which some clients send.
fn has_description(call: &Call) -> bool {
    let length = call.headers().get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length > 7)
}

/// Stops one.
pub(super) async fn stop(api: &Api, call: &Call, name: &str) -> Result<Response<Body>, ApiError> {
    let options = stop_options(call)?;
    let was_alive = api.engine().phase(name)?.is_alive();
    api.engine().stop(name, &options).await?;
    if was_alive {
        Ok(answer::done())
    } else {
        Ok(answer::plain(StatusCode::NOT_MODIFIED))
    }
}

/// Stops and starts one.
pub(super) async fn restart(
    api: &Api,
    call: &Call,
    name: &str,
) -> Result<Response<Body>, ApiError> {
    api.engine().restart(name, &stop_options(call)?).await?;
    Ok(answer::done())
}

fn stop_options(call: &Call) -> Result<StopOptions, ApiError> {
    let signal = if call.version.since(42) {
        call.query.text("signal").to_owned()
    } else {
        String::new()
    };
    Ok(StopOptions {
        timeout_seconds: call.query.number("t")?,
        signal,
    })
}

/// Sends a signal to one.
pub(super) async fn kill(api: &Api, call: &Call, name: &str) -> Result<Response<Body>, ApiError> {
    let signal = call.query.text("signal");
    api.engine().kill(name, signal).await?;
    Ok(answer::done())
}

/// Freezes one.
pub(super) async fn pause(api: &Api, name: &str) -> Result<Response<Body>, ApiError> {
    api.engine().pause(name).await?;
    Ok(answer::done())
}

/// Lets one run on.
pub(super) async fn unpause(api: &Api, name: &str) -> Result<Response<Body>, ApiError> {
    api.engine().unpause(name).await?;
    Ok(answer::done())
}

/// Gives one another name.
pub(super) async fn rename(api: &Api, call: &Call, name: &str) -> Result<Response<Body>, ApiError> {
    api.engine().rename(name, call.query.text("name")).await?;
    Ok(answer::done())
}

/// Sets the size of a terminal.
pub(super) async fn resize(api: &Api, call: &Call, name: &str) -> Result<Response<Body>, ApiError> {
    api.engine().resize(name, terminal_size(call)?).await?;
    Ok(answer::plain(StatusCode::OK))
}

/// Reads the size of a terminal.
///
/// # Errors
/// When it is none.
pub(crate) fn terminal_size(call: &Call) -> Result<TerminalSize, ApiError> {
    let number = |key: &str| {
        let text = call.query.text(key);
        text.parse::<u16>().map_err(|_not_a_size| {
            let name = if key == "h" { "height" } else { "width" };
            ApiError::bad_request(format!("invalid resize {name} {text:?}"))
        })
    };
    Ok(TerminalSize {
        rows: number("h")?,
        columns: number("w")?,
    })
}

/// Removes one.
pub(super) async fn remove(api: &Api, call: &Call, name: &str) -> Result<Response<Body>, ApiError> {
    if call.query.is_true("link") {
        return Err(ApiError::not_implemented(
            "removing a link without its container is not supported by berth",
        ));
    }
    let options = RemoveOptions {
        force: call.query.is_true("force"),
        volumes: call.query.is_true("v"),
    };
    api.engine().remove(name, options).await?;
    Ok(answer::done())
}
