//! Session keyrings.
#![expect(
    unsafe_code,
    reason = "the C library has no function for this system call"
)]

use std::io;

use nix::libc;

use crate::call::check;

/// Gives the calling process a fresh session keyring, so that it does not share keys with its parent.
///
/// # Errors
/// Fails on kernels without keyrings and where a security module forbids it.
pub fn join_new_session() -> io::Result<()> {
    // SAFETY: KEYCTL_JOIN_SESSION_KEYRING wants a name or null, which asks for an anonymous keyring.
    let result = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_JOIN_SESSION_KEYRING,
            std::ptr::null::<libc::c_char>(),
        )
    };
    check(result).map(drop)
}
