//! Being asked to end while something is made that must not be left half made.

use std::pin::pin;

use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// What people and systems end a command with.
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Does the work, or drops it where it is when a signal comes; then returns the signal.
pub(crate) async fn unless_interrupted<T>(
    work: impl Future<Output = T>,
) -> Result<Result<T, Signal>, Failure> {
    let mut work = pin!(work);
    let mut listeners = Vec::new();
    for ending in ENDING {
        listeners.push((ending, signal(SignalKind::from_raw(ending as i32))?));
    }
    let first = std::future::poll_fn(|context| {
        for (ending, listener) in &mut listeners {
            if listener.poll_recv(context).is_ready() {
                return std::task::Poll::Ready(*ending);
            }
        }
        std::task::Poll::Pending
    });
    Ok(tokio::select! {
        done = &mut work => Ok(done),
        ending = first => Err(ending),
    })
}
