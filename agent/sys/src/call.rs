//! What the wrappers of raw system calls share: results to errors, paths to C strings.
#![expect(
    unsafe_code,
    reason = "takes ownership of descriptors that system calls return"
)]

use std::ffi::CString;
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::libc;

/// Turns the C library's -1 into the error it stands for.
pub(crate) fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Takes ownership of the descriptor that a system call has just returned.
pub(crate) fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    let fd = RawFd::try_from(check(result)?).map_err(io::Error::other)?;
    // SAFETY: from_raw_fd wants an open descriptor that nobody else owns: the callers pass results of system calls that
    // made a new one for them.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Returns `path` as a C string.
pub(crate) fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}
