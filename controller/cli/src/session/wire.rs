//! The two pairs of messages (attach, exec) behind one shape.

use berth_proto::v1::{
    AttachRequest, AttachResponse, ExecRequest, ExecResponse, Output, StdinClosed, TerminalSize,
    attach_request, attach_response, exec_request, exec_response,
};

/// What goes to the agent.
pub(crate) trait Outgoing: Send + 'static {
    fn stdin(bytes: Vec<u8>) -> Self;
    fn stdin_closed() -> Self;
    fn resize(size: TerminalSize) -> Self;
}

/// What comes from the agent.
pub(crate) trait Incoming: Send + 'static {
    fn message(self) -> Option<Message>;
}

/// One message of the agent.
#[derive(Debug)]
pub(crate) enum Message {
    Ready,
    Output(Output),
    Exited(i32),
    Detached,
}

impl Outgoing for AttachRequest {
    fn stdin(bytes: Vec<u8>) -> Self {
        Self {
            message: Some(attach_request::Message::Stdin(bytes)),
        }
    }

    fn stdin_closed() -> Self {
        Self {
            message: Some(attach_request::Message::StdinClosed(StdinClosed {})),
        }
    }

    fn resize(size: TerminalSize) -> Self {
        Self {
            message: Some(attach_request::Message::Resize(size)),
        }
    }
}

impl Outgoing for ExecRequest {
    fn stdin(bytes: Vec<u8>) -> Self {
        Self {
            message: Some(exec_request::Message::Stdin(bytes)),
        }
    }

    fn stdin_closed() -> Self {
        Self {
            message: Some(exec_request::Message::StdinClosed(StdinClosed {})),
        }
    }

    fn resize(size: TerminalSize) -> Self {
        Self {
            message: Some(exec_request::Message::Resize(size)),
        }
    }
}

impl Incoming for AttachResponse {
    fn message(self) -> Option<Message> {
        Some(match self.message? {
            attach_response::Message::Attached(_) => Message::Ready,
            attach_response::Message::Output(output) => Message::Output(output),
            attach_response::Message::Exited(exited) => Message::Exited(exited.code),
            attach_response::Message::Detached(_) => Message::Detached,
        })
    }
}

impl Incoming for ExecResponse {
    fn message(self) -> Option<Message> {
        Some(match self.message? {
            exec_response::Message::Started(_) => Message::Ready,
            exec_response::Message::Output(output) => Message::Output(output),
            exec_response::Message::Exited(exited) => Message::Exited(exited.code),
            exec_response::Message::Detached(_) => Message::Detached,
        })
    }
}
