//! Pseudo terminals: making a pair from an open `ptmx`, sizes, controlling terminals.
#![expect(unsafe_code, reason = "ioctls have no safe functions in the C library")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use nix::libc;

use crate::call::{check, owned};

/// Opens the other side of the pseudo terminal whose master is `master`, without going through a path.
///
/// # Errors
/// Fails when the descriptor is no master of a pseudo terminal.
pub fn open_peer(master: impl AsFd) -> io::Result<OwnedFd> {
    let fd = master.as_fd();
    let unlocked: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK wants a pointer to an int, which outlives the call.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) };
    check(result.into())?;
    // SAFETY: TIOCGPTPEER takes open flags and returns a new descriptor.
    let result = unsafe {
        libc::ioctl(
            fd.as_raw_fd(),
            libc::TIOCGPTPEER,
            libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC,
        )
    };
    owned(result.into())
}

/// Sets the size of a terminal; its foreground processes are told.
///
/// # Errors
/// Fails when the descriptor is no terminal.
pub fn set_size(terminal: impl AsFd, rows: u16, cols: u16) -> io::Result<()> {
    let size = libc::winsize {
        ws_row: rows,
        ws_col: cols,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCSWINSZ wants a pointer to a struct winsize, which outlives the call.
    let result = unsafe {
        libc::ioctl(
            terminal.as_fd().as_raw_fd(),
            libc::TIOCSWINSZ,
            &raw const size,
        )
    };
    check(result.into()).map(drop)
}

/// Returns the size of a terminal as rows and columns.
///
/// # Errors
/// Fails when the descriptor is no terminal.
pub fn size(terminal: impl AsFd) -> io::Result<(u16, u16)> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCGWINSZ wants a pointer to room for a struct winsize, which outlives the call.
    let result = unsafe {
        libc::ioctl(
            terminal.as_fd().as_raw_fd(),
            libc::TIOCGWINSZ,
            &raw mut size,
        )
    };
    check(result.into())?;
    Ok((size.ws_row, size.ws_col))
}

/// Makes `terminal` the controlling terminal of the calling process, which must lead a session without one.
///
/// # Errors
/// Fails when the process leads no session or has a controlling terminal.
pub fn make_controlling(terminal: impl AsFd) -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes a number.
    let result = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSCTTY, 0) };
    check(result.into()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_set_on_the_master_is_the_peers_size() {
        let master = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/ptmx")
            .expect("ptmx");
        let peer = open_peer(&master).expect("peer");
        set_size(&master, 31, 97).expect("size");
        assert_eq!(size(&peer).expect("size"), (31, 97));
    }
}
