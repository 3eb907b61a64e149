//! Attach and exec on the wire: one task passes on what the client sends, the answer's stream what
//! the process writes. They are independent, so that a process that does not read its input can
//! still be heard.

use std::future::Future;

use berth_agent_engine::{InputFlow, Session, SessionEvent, SessionOutput, TerminalSize};
use futures::Stream;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use crate::status;

/// What a client sends after the first message.
#[derive(Debug)]
pub(crate) enum Input {
    Stdin(Vec<u8>),
    StdinClosed,
    Resize(TerminalSize),
}

/// What the answer carries after the first message.
#[derive(Debug)]
pub(crate) enum Answer {
    Event(SessionEvent),
    Detached,
}

/// Where a client's messages come from.
pub(crate) trait Inputs: Send + 'static {
    /// Waits for the next; nothing when the client has ended its side or is gone.
    fn next(&mut self) -> impl Future<Output = Option<Input>> + Send;
}

struct State {
    output: SessionOutput,
    detached: oneshot::Receiver<()>,
    /// Ends with the answer, also when the client goes away.
    _input: AbortOnDropHandle<()>,
    is_over: bool,
}

/// Connects a session with a client. The stream ends after the process's end or a detachment.
pub(crate) fn connect(
    session: Session,
    mut inputs: impl Inputs,
) -> impl Stream<Item = Result<Answer, Status>> + Send {
    let (detach, detached) = oneshot::channel();
    let mut input = session.input;
    let task = tokio::spawn(async move {
        while let Some(message) = inputs.next().await {
            match message {
                Input::Stdin(bytes) => {
                    if input.write(&bytes).await == InputFlow::Detached {
                        // Without a receiver the answer has ended anyway.
                        let _ = detach.send(());
                        return;
                    }
                }
                Input::StdinClosed => input.close().await,
                Input::Resize(size) => input.resize(size).await,
            }
        }
        // The client may still listen, and must not seem detached.
        std::future::pending::<()>().await;
    });
    let state = State {
        output: session.output,
        detached,
        _input: AbortOnDropHandle::new(task),
        is_over: false,
    };
    futures::stream::unfold(state, |mut state| async move {
        if state.is_over {
            return None;
        }
        let answer = tokio::select! {
            // Cancel-safe: a receiver may be polled again.
            result = &mut state.detached => match result {
                Ok(()) => Ok(Answer::Detached),
                Err(_task_ended) => Err(status::invalid("the input was cut off")),
            },
            // Nothing is lost: the other branch ends the stream.
            event = state.output.next() => match event {
                Ok(event) => Ok(Answer::Event(event)),
                Err(error) => Err(Status::internal(format!("reading the output: {error}"))),
            },
        };
        state.is_over = !matches!(
            answer,
            Ok(Answer::Event(
                SessionEvent::Output { .. } | SessionEvent::Lost(_)
            ))
        );
        Some((answer, state))
    })
}
