//! Starting a further command.

use std::sync::Arc;

use berth_agent_engine::{Classified as _, Stream};
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
    let size = terminal_size(config.console_size);
    let known = engine.startable_exec(id)?;
    if config.detach {
        engine.start_exec(id, true, size).await?;
        return Ok(answer::plain(StatusCode::OK));
    }
    let framing = Framing::of(known.options.tty);
    let media_type = framing.media_type(call.version);
    let id = id.to_owned();
    // As Docker: what comes with the answer's head is lost to some clients, so that the command is
    // started when they have that; and what is wrong with it is read as output, its code afterwards.
    let later = async move {
        match engine.start_exec(&id, false, size).await {
            Ok(Some(session)) => {
                let ended = Box::pin(async move { engine.exec_ended(&id).await });
                Talk::Session(Box::new(
                    SessionStream::new(session, framing).ending_after(ended),
                ))
            }
            Ok(None) => Talk::Words(Vec::new()),
            Err(error) => {
                let mut words = Vec::new();
                let sentence = format!("{}\r\n", error.sentence());
                framing.write(Stream::Stdout, sentence.as_bytes(), &mut words);
                Talk::Words(words)
            }
        }
    };
    Ok(hijack::answer(
        call,
        media_type,
        Talk::Later(Box::pin(later)),
    ))
}
