//! Descriptors that a task waits for.
#![expect(unsafe_code, reason = "vouches for descriptors that are owned")]

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Makes a descriptor one that tasks can wait for. To be called from within a tokio runtime.
///
/// # Errors
/// Fails when the kernel does not tell of this kind of descriptor.
pub fn watched(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is open, and an `OwnedFd` stays the same one until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}
