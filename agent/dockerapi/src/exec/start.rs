//! Starting a further command.

use std::sync::Arc;

use berth_agent_engine::{Classified as _, ErrorClass, ExecError, Stream};
use http::{Response, StatusCode};
use serde::Deserialize;

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;
use crate::exec::create::terminal_size;
use crate::streams::frame::Framing;
use crate::streams::hijack;
use crate::streams::session::{SessionStream, Talk};

/// How it is started.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct StartConfig {
    detach: bool,
    console_size: [u16; 2],
}

/// Starts a command, with the client attached or not. Whoever sees the connection end can ask how the
/// command ended.
pub(super) async fn start(api: &Api, mut call: Call, id: &str) -> Result<Response<Body>, ApiError> {
    let config: StartConfig = call.json_or_default().await?;
    let engine = Arc::clone(api.engine());
    let known = engine.inspect_exec(id)?;
    let framing = Framing::of(known.options.tty);
    let media_type = framing.media_type(call.version);
    let size = terminal_size(config.console_size);
    let started = engine.start_exec(id, config.detach, size).await;
    let talk = match started {
        Ok(None) => return Ok(answer::plain(StatusCode::OK)),
        Ok(Some(session)) => {
            let id = id.to_owned();
            let stream = SessionStream::new(session, framing)
                .ending_after(Box::pin(async move { engine.exec_ended(&id).await }));
            Talk::Session(Box::new(stream))
        }
        Err(error) if is_told_in_words(&error, config.detach) => {
            let mut words = Vec::new();
            let sentence = format!("{}\r\n", error.sentence());
            framing.write(Stream::Stdout, sentence.as_bytes(), &mut words);
            Talk::Words(words)
        }
        Err(error) => return Err(error.into()),
    };
    Ok(hijack::answer(call, media_type, talk))
}

/// Docker has taken the connection over before it starts the command, so that clients read what is
/// wrong with it as output, and its code afterwards.
fn is_told_in_words(error: &ExecError, detach: bool) -> bool {
    let is_of_call = matches!(error.class(), ErrorClass::NotFound | ErrorClass::Conflict);
    !detach && !is_of_call
}
