//! Telling namespaces apart.
#![expect(unsafe_code, reason = "ioctls have no safe functions in the C library")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

use nix::libc;

use crate::call::check;

/// Asks for the kind of a namespace (`linux/nsfs.h`).
const NS_GET_NSTYPE: libc::c_ulong = 0xb703;

/// Returns the `CLONE_NEW…` flag of the namespace that a descriptor stands for.
///
/// # Errors
/// Fails when the descriptor is of something else.
pub fn kind(file: impl AsFd) -> io::Result<i32> {
    // SAFETY: NS_GET_NSTYPE takes no argument; a file that is no namespace refuses it or, being a device with such a
    // number of its own, is given no pointer to follow.
    let result = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), NS_GET_NSTYPE as _, 0) };
    check(result.into())?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_the_kernels_flags() {
        let of = |path: &str| kind(std::fs::File::open(path).expect("file"));
        assert_eq!(of("/proc/self/ns/uts").expect("uts"), libc::CLONE_NEWUTS);
        of("/dev/null").expect_err("no namespace");
    }
}
