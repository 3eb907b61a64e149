//! Being asked to end while machines are being made.

use std::pin::pin;

use berth_controller_fleet::Fleet;
use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// What people and systems end a command with.
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Does the work, or drops it where it is when a signal comes; then returns the signal.
pub(super) async fn unless_interrupted<T>(
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

/// Says what is left of machines whose making was interrupted, and how to go on.
pub(super) fn left_behind(fleet: &Fleet, machines: &[String], ending: Signal) -> Failure {
    let mut text = format!("interrupted by {}", ending.as_str());
    let mut left = Vec::new();
    for name in machines {
        match fleet.unfinished(name) {
            Ok(Some(unfinished)) => {
                text.push_str(&format!(
                    "; machine {name:?} is half made ({})",
                    unfinished.summary()
                ));
                left.push(name.as_str());
            }
            Ok(None) => {}
            Err(error) => text.push_str(&format!("; {error}")),
        }
    }
    let exit = u8::try_from(128 + ending as i32).unwrap_or(1);
    if left.is_empty() {
        text.push_str("; no machine is left half made");
        return Failure::new(text).exit(exit);
    }
    let names = left.join(" ");
    Failure::new(text)
        .hint(format!("berth machine resume {names} goes on from here"))
        .hint(format!("berth machine rm {names} takes it all back"))
        .exit(exit)
}
