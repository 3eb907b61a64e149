//! A netlink socket that sends requests and waits for the kernel's verdict on each.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;

use super::message::{HEADER, Message, flag, read_u32};

/// A socket of one network namespace: that of the thread which opened it.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// What the kernel refused.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The position of the refused message among those that were sent.
    pub(crate) message: usize,
    pub(crate) error: io::Error,
}

/// Larger than any datagram that the kernel sends.
const BUFFER: usize = 64 * 1024;

/// How much the kernel keeps for a socket, in each direction.
const LARGEST_CHANGE: usize = 8 * 1024 * 1024;

/// The kernel answers at once; this only keeps a bug from blocking an attach for ever.
const PATIENCE: Duration = Duration::from_secs(10);

const ERROR: u16 = flag(libc::NLMSG_ERROR);
const DONE: u16 = flag(libc::NLMSG_DONE);
const MULTIPART: u16 = flag(libc::NLM_F_MULTI);

/// One message of a received datagram.
struct Received<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: &'a [u8],
}

// === impl Socket ===

impl Socket {
    pub(crate) fn open(protocol: SockProtocol) -> io::Result<Self> {
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            protocol,
        )?;
        let patience = TimeVal::new(PATIENCE.as_secs().cast_signed(), 0);
        setsockopt(&fd, sockopt::ReceiveTimeout, &patience)?;
        // Changes of many networks are one request, and each of its parts is answered. A namespace
        // whose owner may not ask for more has few.
        let _ = setsockopt(&fd, sockopt::SndBufForce, &LARGEST_CHANGE);
        let _ = setsockopt(&fd, sockopt::RcvBufForce, &LARGEST_CHANGE);
        Ok(Self {
            fd,
            sequence: 0,
            buffer: vec![0; BUFFER],
        })
    }

    /// Sends all messages at once and waits until the kernel has answered each of those for which
    /// `wants_answer` holds. The first refusal is returned.
    pub(crate) fn execute(
        &mut self,
        messages: Vec<Message>,
        wants_answer: impl Fn(usize) -> bool,
    ) -> Result<(), Failure> {
        let first = self.sequence.wrapping_add(1);
        let mut unanswered = 0;
        let mut bytes = Vec::new();
        for (position, message) in messages.into_iter().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            let acknowledge = wants_answer(position);
            unanswered += usize::from(acknowledge);
            let flags = if acknowledge {
                flag(libc::NLM_F_ACK)
            } else {
                0
            };
            bytes.extend(message.finish(self.sequence, flags));
        }
        let whole = |error| Failure { message: 0, error };
        self.send(&bytes).map_err(whole)?;
        let mut refusal: Option<Failure> = None;
        while unanswered > 0 {
            let length = self.receive().map_err(whole)?;
            for received in messages_in(&self.buffer[..length]) {
                // A number from an earlier request that was given up is far away from these.
                let Ok(position) = usize::try_from(received.sequence.wrapping_sub(first)) else {
                    continue;
                };
                if received.kind != ERROR
                    || received.sequence.wrapping_sub(first) > self.sequence.wrapping_sub(first)
                {
                    continue;
                }
                let error = error_of(received.payload);
                if !wants_answer(position) {
                    // Only the refusal of a whole batch comes unasked, and nothing may follow it.
                    return Err(refusal.unwrap_or_else(|| Failure {
                        message: position,
                        error: error.unwrap_or_else(|| io::ErrorKind::InvalidData.into()),
                    }));
                }
                unanswered -= 1;
                if let (Some(error), None) = (error, &refusal) {
                    refusal = Some(Failure {
                        message: position,
                        error,
                    });
                }
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    /// Asks for one object and returns the answer's payload, or `None` when there is no such object.
    pub(crate) fn query(&mut self, message: Message) -> io::Result<Option<Vec<u8>>> {
        let found = self.ask(message, 0);
        match found {
            Ok(answers) => Ok(answers.into_iter().next()),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Asks for all objects of a kind and returns the payloads.
    pub(crate) fn dump(&mut self, message: Message) -> io::Result<Vec<Vec<u8>>> {
        self.ask(message, flag(libc::NLM_F_DUMP))
    }

    fn ask(&mut self, message: Message, flags: u16) -> io::Result<Vec<Vec<u8>>> {
        self.sequence = self.sequence.wrapping_add(1);
        self.send(&message.finish(self.sequence, flags))?;
        let mut answers = Vec::new();
        loop {
            let length = self.receive()?;
            for received in messages_in(&self.buffer[..length]) {
                if received.sequence != self.sequence {
                    continue;
                }
                match received.kind {
                    ERROR => return error_of(received.payload).map_or(Ok(answers), Err),
                    DONE => return Ok(answers),
                    _ => answers.push(received.payload.to_vec()),
                }
                if received.flags & MULTIPART == 0 {
                    return Ok(answers);
                }
            }
        }
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let sent = send(self.fd.as_raw_fd(), bytes, MsgFlags::empty())?;
        if sent == bytes.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    fn receive(&mut self) -> io::Result<usize> {
        loop {
            match recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Err(io::ErrorKind::TimedOut.into()),
                result => return Ok(result?),
            }
        }
    }
}

fn messages_in(mut bytes: &[u8]) -> impl Iterator<Item = Received<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(read_u32(bytes)?).ok()?;
        let message = bytes.get(..length)?;
        let (header, payload) = message.split_first_chunk::<HEADER>()?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Received {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            flags: u16::from_ne_bytes([header[6], header[7]]),
            sequence: read_u32(&header[8..])?,
            payload,
        })
    })
}

/// Returns the error of an acknowledgement, in which zero means success.
fn error_of(payload: &[u8]) -> Option<io::Error> {
    let code = read_u32(payload)?.cast_signed();
    (code != 0).then(|| io::Error::from_raw_os_error(code.wrapping_neg()))
}
