//! Tells whoever started the agent that it is ready: systemd over its socket, or a file descriptor.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Says that every call is answered from now on. Nobody may listen, which is fine.
pub(crate) fn ready(ready_fd: Option<i32>) {
    systemd("READY=1");
    if let Some(fd) = ready_fd
        && let Err(error) = write_and_close(fd)
    {
        tracing::warn!(fd, error = %error, "readiness not told");
    }
}

/// Says that the agent is about to end.
pub(crate) fn stopping() {
    systemd("STOPPING=1");
}

fn systemd(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let send = || {
        let bytes = path.as_encoded_bytes();
        let address = match bytes.split_first() {
            Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(&path)?,
        };
        UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)
    };
    if let Err(error) = send() {
        tracing::warn!(error = %error, "service manager not notified");
    }
}

fn write_and_close(fd: i32) -> std::io::Result<()> {
    // Opened anew, which needs no trust in the number that the command line gave.
    let mut file = OpenOptions::new()
        .write(true)
        .open(format!("/proc/self/fd/{fd}"))?;
    file.write_all(b"ready\n")?;
    drop(file);
    nix::unistd::close(fd)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::IntoRawFd as _;

    use super::*;

    #[test]
    fn the_reader_sees_ready_and_the_end() {
        let (mut reader, writer) = std::io::pipe().expect("pipe");
        write_and_close(writer.into_raw_fd()).expect("written");
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("read");
        assert_eq!(text, "ready\n");
    }
}
