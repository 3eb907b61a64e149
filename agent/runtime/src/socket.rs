//! The path of a supervisor's socket, which may be longer than the 107 bytes that a socket's address has room for.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::protocol::SOCKET;

const MAX_ADDRESS: usize = 107;

/// Calls `use_path` with a path of the socket that is short enough.
fn with_short_path<T>(
    run_dir: &Path,
    use_path: impl FnOnce(&Path) -> io::Result<T>,
) -> io::Result<T> {
    let path = run_dir.join(SOCKET);
    if path.as_os_str().len() <= MAX_ADDRESS {
        return use_path(&path);
    }
    let directory = File::options()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(run_dir)?;
    use_path(&PathBuf::from(format!(
        "/proc/self/fd/{}/{SOCKET}",
        directory.as_raw_fd()
    )))
}

/// Connects to the supervisor of this run directory.
pub(crate) fn connect(run_dir: &Path) -> io::Result<UnixStream> {
    with_short_path(run_dir, |path| UnixStream::connect(path))
}

/// Makes the socket of this run directory, for root only, in place of one that a killed supervisor left.
pub(crate) fn listen(run_dir: &Path) -> io::Result<UnixListener> {
    with_short_path(run_dir, |path| {
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    })
}
