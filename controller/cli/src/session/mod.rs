//! A conversation with a process on a machine: output to here, input, signals and the terminal's
//! size to there. `run`, `start -a`, `attach` and `exec` are this and a few words around it.

mod input;
mod output;
mod signals;
mod wire;

use berth_proto::v1::container_service_client::ContainerServiceClient;
use tokio::sync::mpsc;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::failure::Failure;
use crate::ui::terminal;

pub(crate) use output::Writers;
pub(crate) use wire::{Incoming, Message, Outgoing};

/// Messages to the agent that may wait for the network.
const OUTGOING_QUEUE: usize = 16;

/// How a conversation ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The process ended with this code.
    Exited(u8),
    /// The detach keys were typed.
    Detached,
    /// A signal to this command ended the conversation, not the process.
    Interrupted(u8),
}

/// What is connected at this end.
#[derive(Debug)]
pub(crate) struct Local {
    /// Send standard input.
    pub(crate) stdin: bool,
    /// The process has a terminal: follow the size of ours, and pass keys through when `stdin`.
    pub(crate) tty: bool,
    /// Whose signals are passed on; `None`: they end the conversation.
    pub(crate) signals_to: Option<(ContainerServiceClient<Channel>, String)>,
}

/// The way to the agent of an open conversation.
pub(crate) type Sender<Q> = mpsc::Sender<Q>;

/// The sending end, and what the call takes.
pub(crate) fn queue<Q>() -> (Sender<Q>, tokio_stream::wrappers::ReceiverStream<Q>) {
    let (sender, receiver) = mpsc::channel(OUTGOING_QUEUE);
    (
        sender,
        tokio_stream::wrappers::ReceiverStream::new(receiver),
    )
}

/// Does `begin`, then holds the conversation until it ends. Signals count from the start, so that
/// none is lost in between. The terminal is as before when this returns.
pub(crate) async fn hold<Q, R>(
    incoming: Streaming<R>,
    outgoing: Sender<Q>,
    local: Local,
    begin: impl Future<Output = Result<(), Failure>>,
) -> Result<End, Failure>
where
    Q: Outgoing,
    R: Incoming,
{
    let signals = signals::Signals::listen(&local)?;
    begin.await?;
    let keys = if local.tty && local.stdin {
        terminal::raw()?
    } else {
        None
    };
    if local.stdin {
        input::forward(outgoing.clone());
    }
    let end = tokio::select! {
        // Each arm is dropped only when the conversation is over; nothing of it is used again.
        end = output::show(incoming) => end,
        end = signals.pass_on(local.signals_to) => end,
        () = signals::follow_size(outgoing, local.tty) => Ok(End::Detached),
    };
    drop(keys);
    if let Ok(End::Detached) = end {
        crate::ui::note("read escape sequence");
    }
    end
}
