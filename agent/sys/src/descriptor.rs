//! Sending open descriptors to another process with a message, and files into sockets.
#![expect(unsafe_code, reason = "takes ownership of the descriptors that arrive")]

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use nix::libc;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

/// The most descriptors that travel with one message here.
pub const MAX_DESCRIPTORS: usize = (CONTROL - size_of::<libc::cmsghdr>()) / size_of::<RawFd>();

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
/// Fails when the socket does, or when more descriptors came than [`MAX_DESCRIPTORS`]; those that came are closed then.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = Control([0; CONTROL]);
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: a msghdr is plain data, for which zeroes (null pointers of no length) are a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: recvmsg wants an open descriptor, which is borrowed, and a msghdr whose pointers and lengths describe the
    // buffers above; all outlive the call.
    let received = unsafe { libc::recvmsg(fd, &raw mut message, libc::MSG_CMSG_CLOEXEC) };
    let received = usize::try_from(received).map_err(|_negative| io::Error::last_os_error())?;
    // Taken over first, so that they are closed if something is wrong with the message.
    let descriptors = take_descriptors(&message);
    if message.msg_flags & libc::MSG_CTRUNC != 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a message brought more descriptors than anybody sends",
        ));
    }
    Ok((received, descriptors))
}

/// Room for the descriptors of one message and its header.
const CONTROL: usize = 32;

/// A buffer with the alignment of a control message's header.
#[repr(align(8))]
struct Control([u8; CONTROL]);

/// Takes ownership of the descriptors of a message that `recvmsg` has just filled in.
fn take_descriptors(message: &libc::msghdr) -> Vec<OwnedFd> {
    const WIDTH: usize = size_of::<RawFd>();
    let mut descriptors = Vec::new();
    // SAFETY: CMSG_FIRSTHDR wants a msghdr whose control buffer the kernel has filled; it returns null or a header
    // inside of that buffer.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: a header that is not null is inside of the buffer, which is aligned for it.
    while let Some(part) = unsafe { header.as_ref() } {
        if part.cmsg_level == libc::SOL_SOCKET && part.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: CMSG_DATA is an addition to the header's address.
            let data = unsafe { libc::CMSG_DATA(header) };
            // SAFETY: CMSG_LEN is arithmetic.
            let overhead = unsafe { libc::CMSG_LEN(0) } as usize;
            let count = part.cmsg_len.saturating_sub(overhead) / WIDTH;
            for index in 0..count {
                // SAFETY: the header's length says that so many descriptors follow it, inside of the buffer: the kernel
                // shortens it when it has no room for all. They need not be aligned.
                let fd = unsafe { data.add(index * WIDTH).cast::<RawFd>().read_unaligned() };
                // SAFETY: from_raw_fd wants an open descriptor that nobody else owns: the kernel has just made it for
                // this message, and each is taken once.
                descriptors.push(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
        // SAFETY: CMSG_NXTHDR wants the message and a header in it, and returns the next one or null.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    descriptors
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

    #[test]
    fn descriptors_that_are_too_many_are_closed() {
        let (here, there) = UnixStream::pair().expect("sockets");
        let (mut reader, writer) = io::pipe().expect("pipe");
        let many = [writer.as_fd(); MAX_DESCRIPTORS + 1];
        send(&here, b"x", &many).expect("send");
        drop(writer);
        let error = receive(&there, &mut [0; 8]).expect_err("too many");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        // The pipe ends only when every copy of its other end is closed.
        assert_eq!(reader.read(&mut [0; 1]).expect("end"), 0);
    }

    #[test]
    fn as_many_descriptors_as_may_come_do() {
        let (here, there) = UnixStream::pair().expect("sockets");
        let (_reader, writer) = io::pipe().expect("pipe");
        send(&here, b"x", &[writer.as_fd(); MAX_DESCRIPTORS]).expect("send");
        let (_, descriptors) = receive(&there, &mut [0; 8]).expect("receive");
        assert_eq!(descriptors.len(), MAX_DESCRIPTORS);
    }
}
