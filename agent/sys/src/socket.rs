//! What is on its way in a socket.
#![expect(unsafe_code, reason = "ioctls have no safe functions in the C library")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

/// Returns whether the other end of a unix socket has read all that was written to this one.
///
/// # Errors
/// When it is no socket.
pub fn is_all_read(socket: impl AsFd) -> io::Result<bool> {
    let mut n_bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as it is borrowed, and the kernel writes one number there.
    let result =
        unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut n_bytes) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(n_bytes == 0)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_the_other_end_has_not_read_is_known() {
        let (mut near, mut far) = UnixStream::pair().expect("sockets");
        assert!(is_all_read(&near).expect("a socket"));
        near.write_all(b"xy").expect("written");
        assert!(!is_all_read(&near).expect("a socket"));
        far.read_exact(&mut [0; 2]).expect("read");
        assert!(is_all_read(&near).expect("a socket"));
    }
}
