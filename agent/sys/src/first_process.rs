//! What the first process of a process id namespace owes the others: passing signals on, and taking the exit statuses
//! of processes that nobody else takes.
#![expect(
    unsafe_code,
    reason = "waits for signals by number, real-time ones too"
)]

use std::io;

use nix::libc;
use nix::sys::signal::SigSet;

use crate::process::{reap_any, send_signal};

/// Blocks every signal, so that they wait for [`serve`].
///
/// # Errors
/// Fails never with the signals of this kernel; the result says so anyway.
pub fn hold_signals() -> io::Result<()> {
    Ok(SigSet::all().thread_block()?)
}

/// Passes all signals on to the child `main`, and returns when that has ended: with its exit code, or 128 plus the number
/// of the signal that ended it. The signals must have been blocked by [`hold_signals`] before the child was made.
pub fn serve(main: i32) -> i32 {
    let every = SigSet::all();
    loop {
        // Also before the first wait: a signal of its end may have come before the others were held.
        while let Ok(Some((pid, status))) = reap_any() {
            if pid == main {
                return code(status);
            }
        }
        // SAFETY: sigwaitinfo wants a set of signals, which outlives the call, and room for what is known about the
        // signal or null.
        let signal = unsafe { libc::sigwaitinfo(every.as_ref(), std::ptr::null_mut()) };
        if signal > 0 && signal != libc::SIGCHLD {
            // A child that has just ended needs no signal; its end is next.
            drop(send_signal(main, signal));
        }
    }
}

fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(255)
}
