//! Attaching to containers.

use berth_agent_engine::{AttachOptions, LogsOptions};
use bytes::Bytes;
use futures::stream;
use http::{Response, StatusCode};

use crate::answer;
use crate::api::Api;
use crate::body::{self, Body};
use crate::call::Call;
use crate::containers::logs::Form;
use crate::error::ApiError;
use crate::streams::frame::Framing;
use crate::streams::hijack;
use crate::streams::session::{SessionStream, Talk};

/// Attaches a client. Who has the answer's head misses nothing that comes after.
pub(super) async fn attach(api: &Api, call: Call, name: &str) -> Result<Response<Body>, ApiError> {
    let query = &call.query;
    if !query.is_true("stream") {
        return replay(api, &call, name);
    }
    let options = AttachOptions {
        stdin: query.is_true("stdin"),
        stdout: query.is_true("stdout"),
        stderr: query.is_true("stderr"),
        logs: query.is_true("logs"),
        detach_keys: query.text("detachKeys").to_owned(),
    };
    let session = api.engine().attach(name, &options).await?;
    let framing = Framing::of(session.tty);
    let media_type = framing.media_type(call.version);
    let talk = Talk::Session(Box::new(SessionStream::new(session, framing)));
    Ok(hijack::answer(call, media_type, talk))
}

/// Sends what was written so far, if even that is asked for.
fn replay(api: &Api, call: &Call, name: &str) -> Result<Response<Body>, ApiError> {
    let query = &call.query;
    let (stdout, stderr) = (query.is_true("stdout"), query.is_true("stderr"));
    api.engine().phase(name)?;
    if !query.is_true("logs") || !(stdout || stderr) {
        return Ok(answer::plain(StatusCode::OK));
    }
    let options = LogsOptions {
        stdout,
        stderr,
        ..LogsOptions::default()
    };
    let logs = api.engine().logs(name, options)?;
    let form = Form::bare(Framing::of(logs.tty));
    let media_type = form.framing.media_type(call.version);
    let batches = stream::unfold((logs, form), |(mut logs, form)| async move {
        let batch = logs.next().await?.map_err(std::io::Error::other);
        Some((
            batch.map(|batch| Bytes::from(form.write(&batch))),
            (logs, form),
        ))
    });
    Ok(answer::with(
        StatusCode::OK,
        media_type,
        body::streamed(batches),
    ))
}
