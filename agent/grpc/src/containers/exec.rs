//! The two streams of exec.

use std::sync::Arc;

use berth_agent_engine::{Engine, ExecOptions, SessionEvent};
use berth_proto::v1::{self, exec_request, exec_response};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tonic::{Status, Streaming};

use crate::convert;
use crate::session::{self, Answer, Input, Inputs};
use crate::status;

/// Runs a command and connects the client to it.
pub(super) async fn exec(
    engine: &Arc<Engine>,
    mut requests: Streaming<v1::ExecRequest>,
) -> Result<BoxStream<'static, Result<v1::ExecResponse, Status>>, Status> {
    let first = requests
        .message()
        .await?
        .and_then(|request| request.message);
    let Some(exec_request::Message::Options(options)) = first else {
        return Err(status::invalid(
            "the first message of an exec must be its options",
        ));
    };
    let name = options.container;
    let options = ExecOptions {
        command: options.command,
        env: options.env,
        working_dir: options.working_dir,
        user: options.user,
        tty: options.tty,
        stdin: options.stdin,
        stdout: true,
        stderr: true,
        privileged: options.privileged,
        detach: options.detach,
        detach_keys: options.detach_keys,
        size: options.size.map(convert::terminal_size),
    };
    let started = engine
        .exec(&name, options)
        .await
        .map_err(|error| status::with_exit_code(&error, error.exit_code()))?;
    let first = exec_response::Message::Started(v1::ExecStarted { id: started.id });
    let first = stream::iter([Ok(first)]);
    let messages = match started.session {
        Some(session) => {
            let answers = session::connect(session, requests).map(|answer| answer.map(message));
            first.chain(answers).boxed()
        }
        None => first.boxed(),
    };
    let wrap = |message: Result<exec_response::Message, Status>| {
        message.map(|message| v1::ExecResponse {
            message: Some(message),
        })
    };
    Ok(messages.map(wrap).boxed())
}

impl Inputs for Streaming<v1::ExecRequest> {
    async fn next(&mut self) -> Option<Input> {
        loop {
            // An error means that the client is gone.
            return Some(match self.message().await.ok()??.message {
                Some(exec_request::Message::Stdin(bytes)) => Input::Stdin(bytes),
                Some(exec_request::Message::StdinClosed(_)) => Input::StdinClosed,
                Some(exec_request::Message::Resize(size)) => {
                    Input::Resize(convert::terminal_size(size))
                }
                Some(exec_request::Message::Options(_)) | None => continue,
            });
        }
    }
}

fn message(answer: Answer) -> exec_response::Message {
    match answer {
        Answer::Event(SessionEvent::Output { stream, data }) => {
            exec_response::Message::Output(v1::Output {
                stream: convert::stream(stream).into(),
                data,
                lost_bytes: 0,
            })
        }
        Answer::Event(SessionEvent::Lost(lost_bytes)) => {
            exec_response::Message::Output(v1::Output {
                lost_bytes,
                ..v1::Output::default()
            })
        }
        Answer::Event(SessionEvent::Exited(exit)) => {
            exec_response::Message::Exited(convert::exited(exit))
        }
        Answer::Detached => exec_response::Message::Detached(v1::Detached {}),
    }
}
