//! Signals to this command, and changes of its terminal's size.

use std::future::pending;

use berth_proto::v1::KillRequest;
use berth_proto::v1::container_service_client::ContainerServiceClient;
use futures::StreamExt as _;
use futures::stream::SelectAll;
use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tonic::transport::Channel;

use super::{End, Local, Outgoing, Sender};
use crate::failure::Failure;
use crate::ui::terminal;

/// Signals that are passed on to a container.
const PASSED_ON: [Signal; 12] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTERM,
    Signal::SIGCONT,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGXCPU,
    Signal::SIGIO,
];

/// Signals that end a conversation, so that the terminal is put back before, and whatever else is
/// held is given up.
const ENDING: [Signal; 4] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
];

/// Requests to end after which the command stops to be polite.
const PATIENCE: u32 = 3;

/// Listens from the moment it exists.
pub(crate) struct Signals {
    streams: SelectAll<futures::stream::BoxStream<'static, Signal>>,
}

// === impl Signals ===

impl Signals {
    /// Starts to listen to the signals that the conversation has a use for.
    pub(crate) fn listen(local: &Local) -> Result<Self, Failure> {
        let wanted: &[Signal] = match local.signals_to {
            Some(_) => &PASSED_ON,
            None => &ENDING,
        };
        let mut streams = SelectAll::new();
        for wanted in wanted {
            let wanted = *wanted;
            let mut listener = signal(SignalKind::from_raw(wanted as i32))?;
            let arrivals = futures::stream::poll_fn(move |context| listener.poll_recv(context));
            streams.push(arrivals.map(move |()| wanted).boxed());
        }
        Ok(Self { streams })
    }

    /// Passes signals on; returns only when one of them ends the conversation.
    pub(crate) async fn pass_on(
        mut self,
        to: Option<(ContainerServiceClient<Channel>, String)>,
    ) -> Result<End, Failure> {
        let mut requests_to_end = 0;
        while let Some(received) = self.streams.next().await {
            let Some((containers, id)) = &to else {
                return Ok(End::Interrupted(interrupted(received)));
            };
            let request = KillRequest {
                container: id.clone(),
                signal: received.as_str().trim_start_matches("SIG").to_owned(),
            };
            // A container that has just ended needs no signal.
            let _ = containers.clone().kill(request).await;
            if matches!(received, Signal::SIGINT | Signal::SIGTERM) {
                requests_to_end += 1;
            }
            if requests_to_end == PATIENCE {
                crate::ui::note("got 3 SIGTERM/SIGINTs, leaving the container behind");
                return Ok(End::Interrupted(interrupted(received)));
            }
        }
        pending().await
    }
}

fn interrupted(signal: Signal) -> u8 {
    u8::try_from(128 + signal as i32).unwrap_or(1)
}

/// Tells the agent the terminal's size, now and at every change. Never returns.
pub(crate) async fn follow_size<Q: Outgoing>(outgoing: Sender<Q>, tty: bool) {
    if !tty {
        return pending().await;
    }
    let Ok(mut changes) = signal(SignalKind::window_change()) else {
        return pending().await;
    };
    loop {
        if let Some(size) = terminal::size()
            && outgoing.send(Q::resize(size)).await.is_err()
        {
            return pending().await;
        }
        if changes.recv().await.is_none() {
            return pending().await;
        }
    }
}
