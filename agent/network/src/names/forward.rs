//! Handing on questions that are not about containers.
//!
//! They leave from inside the container's network namespace, so that they go where the container's
//! packets go; only a server on the machine's own loopback is asked from the machine.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::timeout;

use super::question::{HEADER, Question};

/// How a question came, and goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// A server to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Upstream {
    pub(super) address: IpAddr,
    /// It is the machine's, which the container does not see.
    pub(super) on_machine: bool,
}

/// How long one server is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// Most servers that are asked, as resolvers have it.
const MOST_SERVERS: usize = 3;

const PORT: u16 = 53;

/// Longest message.
const LONGEST: usize = u16::MAX as usize;

/// The part of a header that says how it went; two say that the server could not help.
const CODE: u8 = 0x0f;
const SERVER_FAILURE: u8 = 2;
const REFUSED: u8 = 5;

/// Asks one server after the other; returns the first answer that helps, or the last one at all.
pub(super) async fn ask(
    message: &[u8],
    servers: &[Upstream],
    transport: Transport,
    namespace: &Arc<File>,
) -> Option<Vec<u8>> {
    let mut last = None;
    for server in servers.iter().take(MOST_SERVERS) {
        let asked = timeout(PATIENCE, ask_one(message, *server, transport, namespace)).await;
        match asked {
            Ok(Ok(answer)) if !matches!(answer[3] & CODE, SERVER_FAILURE | REFUSED) => {
                return Some(answer);
            }
            Ok(Ok(answer)) => last = Some(answer),
            Ok(Err(error)) => {
                tracing::debug!(server = %server.address, %error, "name server not asked");
            }
            Err(_elapsed) => {
                tracing::debug!(server = %server.address, "name server does not answer");
            }
        }
    }
    last
}

async fn ask_one(
    message: &[u8],
    server: Upstream,
    transport: Transport,
    namespace: &Arc<File>,
) -> io::Result<Vec<u8>> {
    // A number of our own, which nobody on the way can know from the container.
    let id: [u8; 2] = rand::random();
    let mut own = message.to_vec();
    own[..2].copy_from_slice(&id);
    let namespace = (!server.on_machine).then(|| Arc::clone(namespace));
    let address = SocketAddr::new(server.address, PORT);
    let fd = open(namespace, server.address.is_ipv4(), transport).await?;
    let mut answer = match transport {
        Transport::Udp => over_udp(fd, address, &own).await?,
        Transport::Tcp => over_tcp(fd, address, &own).await?,
    };
    answer[..2].copy_from_slice(&message[..2]);
    Ok(answer)
}

async fn over_udp(fd: OwnedFd, address: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::from_std(fd.into())?;
    socket.connect(address).await?;
    socket.send(message).await?;
    let mut buffer = vec![0; LONGEST];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if is_answer(message, &buffer[..length]) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn over_tcp(fd: OwnedFd, address: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpSocket::from_std_stream(fd.into())
        .connect(address)
        .await?;
    write_message(&mut stream, message).await?;
    let answer = read_message(&mut stream).await?;
    if is_answer(message, &answer) {
        Ok(answer)
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// Whether a message answers the question, by its number and the question that it repeats.
fn is_answer(asked: &[u8], answer: &[u8]) -> bool {
    const RESPONSE: u8 = 0x80;
    if answer.len() < HEADER || answer[..2] != asked[..2] || answer[2] & RESPONSE == 0 {
        return false;
    }
    let Ok(question) = Question::parse(asked) else {
        return false;
    };
    // Servers that understood nothing repeat nothing.
    let repeated = answer.get(HEADER..HEADER + question.raw.len());
    answer[4..6] == [0, 0] || repeated.is_some_and(|raw| raw.eq_ignore_ascii_case(question.raw))
}

/// Opens a socket in a namespace, by a thread that ends there.
async fn open(
    namespace: Option<Arc<File>>,
    is_ipv4: bool,
    transport: Transport,
) -> io::Result<OwnedFd> {
    let family = if is_ipv4 {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let kind = match transport {
        Transport::Udp => SockType::Datagram,
        Transport::Tcp => SockType::Stream,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let Some(namespace) = namespace else {
        return Ok(socket(family, kind, flags, None)?);
    };
    let work = move || {
        let inside = move || -> io::Result<OwnedFd> {
            setns(&namespace, CloneFlags::CLONE_NEWNET)?;
            Ok(socket(family, kind, flags, None)?)
        };
        let thread = std::thread::Builder::new().spawn(inside)?;
        thread
            .join()
            .unwrap_or_else(|_panic| Err(io::ErrorKind::Interrupted.into()))
    };
    tokio::task::spawn_blocking(work).await?
}

/// Reads a message with its length before it.
pub(super) async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes a message with its length before it.
pub(super) async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_longer| io::ErrorKind::InvalidData)?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(message);
    stream.write_all(&bytes).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_to_the_question_count() {
        let asked = [1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1];
        let mut answer = asked;
        assert!(!is_answer(&asked, &answer), "a question");
        answer[2] |= 0x80;
        assert!(is_answer(&asked, &answer));
        answer[13] = b'A';
        assert!(is_answer(&asked, &answer), "in other letters");
        answer[13] = b'b';
        assert!(!is_answer(&asked, &answer), "to another question");
        answer[13] = b'a';
        answer[0] = 9;
        assert!(!is_answer(&asked, &answer), "under another number");
        assert!(!is_answer(&asked, &asked[..5]));
    }
}
