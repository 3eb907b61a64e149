//! Attaching to containers.

use berth_agent_engine::{AttachOptions, LogsOptions};
use bytes::Bytes;
use futures::stream;
use http::header::UPGRADE;
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
        return replay(api, call, name);
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

/// Sends what was written so far, if even that is asked for. Who asks for the connection gets it:
/// docker-py reads frames from it, whatever the answer is.
fn replay(api: &Api, call: Call, name: &str) -> Result<Response<Body>, ApiError> {
    let query = &call.query;
    let (stdout, stderr) = (query.is_true("stdout"), query.is_true("stderr"));
    let is_wanted = query.is_true("logs") && (stdout || stderr);
    let takes_over = call.headers().contains_key(UPGRADE);
    api.engine().phase(name)?;
    if !is_wanted && !takes_over {
        return Ok(answer::plain(StatusCode::OK));
    }
    let options = LogsOptions {
        stdout,
        stderr: stderr || !is_wanted,
        ..LogsOptions::default()
    };
    let logs = api.engine().logs(name, options)?;
    let form = Form::bare(Framing::of(logs.tty));
    let media_type = form.framing.media_type(call.version);
    if !is_wanted {
        return Ok(hijack::answer(call, media_type, Talk::Words(Vec::new())));
    }
    let batches = stream::unfold((logs, form), |(mut logs, form)| async move {
        let batch = logs.next().await?.map_err(std::io::Error::other);
        Some((
            batch.map(|batch| Bytes::from(form.write(&batch))),
            (logs, form),
        ))
    });
    if takes_over {
        let talk = Talk::Pieces(Box::pin(batches));
        return Ok(hijack::answer(call, media_type, talk));
    }
    Ok(answer::with(
        StatusCode::OK,
        media_type,
        body::streamed(batches),
    ))
}
