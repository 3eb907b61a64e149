//! Standard input on its way to the agent.

use std::io;

use nix::errno::Errno;

use super::{Outgoing, Sender};

/// Bytes read at once; what a pipe holds.
const CHUNK: usize = 64 * 1024;

/// Sends standard input from a thread of its own until it ends or nobody wants it any more.
///
/// The read blocks where nothing can wake it, so that the thread is left behind at the end of the
/// command; a non-blocking terminal would also be non-blocking for the programs that share it.
pub(crate) fn forward<Q: Outgoing>(outgoing: Sender<Q>) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        loop {
            match nix::unistd::read(io::stdin(), &mut buffer) {
                Err(Errno::EINTR) => {}
                // An input that cannot be read (closed, in the background) is an input at its end.
                Ok(0) | Err(_) => {
                    let _ = outgoing.blocking_send(Q::stdin_closed());
                    return;
                }
                Ok(length) => {
                    if outgoing
                        .blocking_send(Q::stdin(buffer[..length].to_vec()))
                        .is_err()
                    {
                        return;
                    }
                }
            }
        }
    });
}
