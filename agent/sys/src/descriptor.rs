//! Sending open descriptors to another process with a message, and files into sockets.
#![expect(unsafe_code, reason = "takes ownership of the descriptors that arrive")]

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use nix::libc;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// The most descriptors that travel with one message here.
pub const MAX_DESCRIPTORS: usize = 4;

/// Sends `data` with `descriptors` over a unix socket and returns how many bytes went; with descriptors, `data` must
/// not be empty.
///
/// # Errors
/// Fails when the peer is gone or, on a socket that does not block, there is no room.
pub fn send(socket: impl AsFd, data: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let raw: Vec<RawFd> = descriptors.iter().map(|fd| fd.as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &[][..] } else { &rights[..] };
    let flags = MsgFlags::MSG_NOSIGNAL;
    Ok(sendmsg::<()>(
        socket.as_fd().as_raw_fd(),
        &[IoSlice::new(data)],
        control,
        flags,
        None,
    )?)
}

/// Receives bytes, and the descriptors that came with them, from a unix socket; zero bytes mean that the peer has
/// closed it.
///
/// # Errors
/// Fails when the socket does, or when more descriptors came than [`MAX_DESCRIPTORS`].
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = nix::cmsg_space!([RawFd; MAX_DESCRIPTORS]);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(
        socket.as_fd().as_raw_fd(),
        &mut parts,
        Some(&mut control),
        flags,
    )?;
    let mut descriptors = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = part {
            // SAFETY: from_raw_fd wants an open descriptor that nobody else owns: the kernel has just made these for
            // this message, and each is taken once.
            descriptors.extend(
                raw.into_iter()
                    .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
            );
        }
    }
    Ok((message.bytes, descriptors))
}

/// Lets the kernel send up to `count` bytes of a file from `offset` on, and returns how many went.
///
/// # Errors
/// Fails when the peer is gone or, on a socket that does not block, there is no room.
pub fn send_file(
    socket: impl AsFd,
    file: impl AsFd,
    offset: u64,
    count: usize,
) -> io::Result<usize> {
    let mut position = libc::off64_t::try_from(offset).map_err(io::Error::other)?;
    let (socket, file) = (socket.as_fd().as_raw_fd(), file.as_fd().as_raw_fd());
    // SAFETY: sendfile wants two open descriptors, which are borrowed, and a pointer to an offset, which outlives the
    // call.
    let result = unsafe { libc::sendfile64(socket, file, &raw mut position, count) };
    usize::try_from(result).map_err(|_negative| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_sent_descriptor_is_open_on_the_other_side() {
        let (here, there) = UnixStream::pair().expect("sockets");
        let (mut reader, writer) = io::pipe().expect("pipe");
        send(&here, b"x", &[writer.as_fd()]).expect("send");
        drop(writer);
        let mut buffer = [0; 8];
        let (n, mut descriptors) = receive(&there, &mut buffer).expect("receive");
        assert_eq!((n, descriptors.len()), (1, 1));
        let mut arrived = std::fs::File::from(descriptors.pop().expect("one"));
        arrived.write_all(b"through").expect("write");
        drop(arrived);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("read");
        assert_eq!(text, "through");
    }
}
