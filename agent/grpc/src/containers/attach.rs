//! The two streams of attach.

use std::sync::Arc;

use berth_agent_engine::{AttachOptions, Engine, SessionEvent};
use berth_proto::v1::{self, attach_request, attach_response};
use futures::{Stream, StreamExt as _, stream};
use tonic::{Status, Streaming};

use crate::convert;
use crate::session::{self, Answer, Input, Inputs};
use crate::status;

/// Attaches a client.
pub(super) async fn attach(
    engine: &Arc<Engine>,
    mut requests: Streaming<v1::AttachRequest>,
) -> Result<impl Stream<Item = Result<v1::AttachResponse, Status>> + use<>, Status> {
    let first = requests
        .message()
        .await?
        .and_then(|request| request.message);
    let Some(attach_request::Message::Options(options)) = first else {
        return Err(status::invalid(
            "the first message of an attach must be its options",
        ));
    };
    let name = options.container;
    let options = AttachOptions {
        stdin: options.stdin,
        stdout: options.stdout,
        stderr: options.stderr,
        logs: options.logs,
        detach_keys: options.detach_keys,
    };
    let session = engine
        .attach(&name, &options)
        .await
        .map_err(|e| status::of(&e))?;
    let attached = attach_response::Message::Attached(v1::Attached { tty: session.tty });
    let answers = session::connect(session, requests).map(|answer| answer.map(message));
    Ok(stream::iter([Ok(attached)]).chain(answers).map(|message| {
        message.map(|message| v1::AttachResponse {
            message: Some(message),
        })
    }))
}

impl Inputs for Streaming<v1::AttachRequest> {
    async fn next(&mut self) -> Option<Input> {
        loop {
            // An error means that the client is gone.
            return Some(match self.message().await.ok()??.message {
                Some(attach_request::Message::Stdin(bytes)) => Input::Stdin(bytes),
                Some(attach_request::Message::StdinClosed(_)) => Input::StdinClosed,
                Some(attach_request::Message::Resize(size)) => {
                    Input::Resize(convert::terminal_size(size))
                }
                Some(attach_request::Message::Options(_)) | None => continue,
            });
        }
    }
}

fn message(answer: Answer) -> attach_response::Message {
    match answer {
        Answer::Event(SessionEvent::Output { stream, data }) => {
            attach_response::Message::Output(v1::Output {
                stream: convert::stream(stream).into(),
                data,
                lost_bytes: 0,
            })
        }
        Answer::Event(SessionEvent::Lost(lost_bytes)) => {
            attach_response::Message::Output(v1::Output {
                lost_bytes,
                ..v1::Output::default()
            })
        }
        Answer::Event(SessionEvent::Exited(exit)) => {
            attach_response::Message::Exited(convert::exited(exit))
        }
        Answer::Detached => attach_response::Message::Detached(v1::Detached {}),
    }
}
