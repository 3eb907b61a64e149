//! Whether something is mounted on a name.
#![expect(unsafe_code, reason = "nix has no call for statx")]

use std::ffi::{CString, OsStr};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;

use nix::errno::Errno;
use nix::libc;

use super::Directory;

/// Returns whether `name` in `parent` is where a mount is attached, in whatever mount namespace `parent` was
/// opened. The kernel refuses to remove such a name only to who is in that namespace; for others it takes the mount off.
pub(super) fn is_at(parent: &Directory, name: &OsStr) -> io::Result<bool> {
    let name = CString::new(name.as_bytes())?;
    let mut found = MaybeUninit::<libc::statx>::zeroed();
    let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT;
    // SAFETY: statx wants an open descriptor, a string that ends in NUL and room for one statx structure; all three live
    // until it returns, and it keeps none of them.
    let result = unsafe {
        libc::statx(
            parent.fd.as_raw_fd(),
            name.as_ptr(),
            flags,
            0,
            found.as_mut_ptr(),
        )
    };
    Errno::result(result)?;
    // SAFETY: assume_init wants an initialised value: it was zeroed, which is one of this structure of integers.
    let found = unsafe { found.assume_init() };
    let root = u64::try_from(libc::STATX_ATTR_MOUNT_ROOT).unwrap_or_default();
    Ok(found.stx_attributes & root != 0)
}
