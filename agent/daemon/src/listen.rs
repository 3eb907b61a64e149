//! Opens the sockets that the agent serves on.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpSocket, UnixListener};

/// Connections that wait while the engine opens.
const BACKLOG: u32 = 1024;

/// Opens a TCP address.
pub(crate) fn tcp(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let open = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        // A former agent's connections must not keep the next one from its port.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().with_context(|| format!("listening on {address}"))
}

/// Opens a unix socket that only root may use. One that a dead agent left is replaced.
pub(crate) fn unix(path: &Path) -> anyhow::Result<UnixListener> {
    let open = || {
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        if UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another agent serves here",
            ));
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    open().with_context(|| format!("listening on {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_of_a_dead_agent_is_replaced_and_of_a_live_one_is_not() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let path = folder.path().join("run/berthd.sock");
        let first = unix(&path).expect("new");
        let mode = fs::metadata(&path).expect("socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        unix(&path).expect_err("somebody serves there");
        drop(first);
        unix(&path).expect("replaced");
    }
}
