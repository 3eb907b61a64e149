//! Waiting for containers.

use berth_agent_engine::{Classified as _, Exit, NotRemoved, WaitCondition};
use futures::stream;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::answer;
use crate::api::Api;
use crate::body::{self, Body};
use crate::call::Call;
use crate::error::ApiError;
use crate::streams::lines;

/// Waits. The head is sent as soon as the wait is in place, since clients start the container only
/// then; a client that goes away ends the wait and nothing else.
pub(super) async fn wait(api: &Api, call: &Call, name: &str) -> Result<Response<Body>, ApiError> {
    if !call.version.since(30) {
        let waiting = api.engine().wait(name, WaitCondition::NotRunning)?;
        let exit = waiting.exit().await?;
        return Ok(answer::ok(&json!({ "StatusCode": exit.code })));
    }
    let condition = match call.query.text("condition") {
        "" | "not-running" => WaitCondition::NotRunning,
        "next-exit" => WaitCondition::NextExit,
        "removed" => WaitCondition::Removed,
        other => {
            let sentence = format!("invalid condition: {other:?}");
            return Err(ApiError::bad_request(sentence));
        }
    };
    let waiting = api.engine().wait(name, condition)?;
    let is_old = !call.version.since(34);
    let line = stream::once(async move {
        let exit = waiting.exit().await;
        lines::line(&object(exit, is_old), "\n")
    });
    let body = body::streamed(line);
    Ok(answer::with(StatusCode::OK, answer::JSON, body))
}

fn object(exit: Result<Exit, NotRemoved>, is_old: bool) -> Value {
    match exit {
        Ok(exit) if is_old => json!({ "Error": null, "StatusCode": exit.code }),
        Ok(exit) => json!({ "StatusCode": exit.code }),
        Err(error) => json!({
            "Error": { "Message": error.sentence() },
            "StatusCode": -1,
        }),
    }
}
