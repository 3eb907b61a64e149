//! Extended attributes by name, links not followed.
#![expect(unsafe_code, reason = "nix has no calls for extended attributes")]

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use nix::errno::Errno;

/// How often a value that grows between asking for its size and reading it is asked for again.
const ATTEMPTS: usize = 16;

pub(super) fn set(path: &OsStr, key: &OsStr, value: &[u8]) -> io::Result<()> {
    let (path, key) = (terminated(path)?, terminated(key)?);
    // SAFETY: lsetxattr wants two strings that end in NUL and `size` readable bytes at `value`;
    // both CStrings and the slice live until it returns, and it keeps none of them.
    let result = unsafe {
        libc::lsetxattr(
            path.as_ptr(),
            key.as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    };
    Ok(Errno::result(result).map(drop)?)
}

pub(super) fn remove(path: &OsStr, key: &OsStr) -> io::Result<()> {
    let (path, key) = (terminated(path)?, terminated(key)?);
    // SAFETY: lremovexattr wants two strings that end in NUL; both CStrings live until it returns.
    let result = unsafe { libc::lremovexattr(path.as_ptr(), key.as_ptr()) };
    Ok(Errno::result(result).map(drop)?)
}

pub(super) fn get(path: &OsStr, key: &OsStr) -> io::Result<Option<Vec<u8>>> {
    let (path, key) = (terminated(path)?, terminated(key)?);
    let value = read_growing(|buffer| {
        // SAFETY: lgetxattr wants two strings that end in NUL and `size` writable bytes at
        // `value`; size 0 only asks for the size. The slice is as long as its `len` says.
        unsafe {
            libc::lgetxattr(
                path.as_ptr(),
                key.as_ptr(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
            )
        }
    });
    match value {
        Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(None),
        value => Ok(Some(value?)),
    }
}

pub(super) fn list(path: &OsStr) -> io::Result<Vec<OsString>> {
    let path = terminated(path)?;
    let names = read_growing(|buffer| {
        // SAFETY: llistxattr wants a string that ends in NUL and `size` writable bytes at `list`;
        // size 0 only asks for the size. The slice is as long as its `len` says.
        unsafe { libc::llistxattr(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) }
    });
    let names = match names {
        Err(Errno::EOPNOTSUPP) => return Ok(Vec::new()),
        names => names?,
    };
    let mut keys: Vec<OsString> = names
        .split(|&byte| byte == 0)
        .filter(|key| !key.is_empty())
        .map(|key| OsString::from_vec(key.to_vec()))
        .collect();
    keys.sort_unstable();
    Ok(keys)
}

fn read_growing(mut call: impl FnMut(&mut [u8]) -> libc::ssize_t) -> Result<Vec<u8>, Errno> {
    for _attempt in 0..ATTEMPTS {
        let size = usize::try_from(Errno::result(call(&mut []))?).unwrap_or(0);
        if size == 0 {
            return Ok(Vec::new());
        }
        let mut buffer = vec![0; size];
        match Errno::result(call(&mut buffer)) {
            Err(Errno::ERANGE) => {}
            Err(errno) => return Err(errno),
            Ok(size) => {
                buffer.truncate(usize::try_from(size).unwrap_or(0));
                return Ok(buffer);
            }
        }
    }
    Err(Errno::ERANGE)
}

fn terminated(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(io::Error::from)
}
