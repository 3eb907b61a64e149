//! Ports and sockets that lead through a session: ours to the host's side, the host's to ours, and
//! the operator's agent.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use russh::client::{ChannelOpenHandle, Msg};
use russh::{Channel, ChannelOpenFailure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::mpsc;

use crate::dial::dial;
use crate::{ExecError, Family, Session};

/// How long a listener rests that cannot take connections.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// An end of a forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A port. Without a host: the loopback addresses; `*`: all addresses.
    Port(Option<String>, u16),
    /// A unix socket.
    Socket(PathBuf),
}

/// What listens, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Where connections are taken.
    pub listen: Place,
    /// Where they lead; `None` to wherever each asks for by SOCKS.
    pub target: Option<Place>,
}

/// A forward cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// The words are not a forward.
    #[error("forward {0:?} is not of the form [address:]port:host:port")]
    Form(String),
    /// Nothing can listen there.
    #[error("cannot listen on {place}")]
    Listen {
        /// Where.
        place: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The host does not listen for us.
    #[error("host refused to listen on {place}")]
    Refused {
        /// Where.
        place: String,
        /// Why.
        #[source]
        source: russh::Error,
    },
}

/// What the host may open towards us.
#[derive(Default)]
pub(crate) struct Incoming {
    ports: Mutex<Vec<(u32, Place)>>,
    agent: Mutex<Option<PathBuf>>,
}

/// Listeners on this side, before connections are served.
#[derive(Debug)]
pub struct Forwards {
    taken: mpsc::Receiver<(Taken, Option<Place>)>,
    _accepting: Vec<Accepting>,
}

/// A task that ends with its listener's owner.
#[derive(Debug)]
struct Accepting(tokio::task::JoinHandle<()>);

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Taken = Box<dyn crate::transport::Transport>;

// === impl Incoming ===

impl Incoming {
    fn lead(&self, port: u32, target: Place) {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.push((port, target));
    }

    fn offer_agent(&self, path: PathBuf) {
        *self.agent.lock().unwrap_or_else(PoisonError::into_inner) = Some(path);
    }

    /// Takes a connection that came to a port of the host, if we asked for that port.
    pub(crate) fn tcp(
        &self,
        channel: Channel<Msg>,
        _address: &str,
        port: u32,
        reply: ChannelOpenHandle,
    ) {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let target = ports.iter().find(|(asked, _)| *asked == port);
        if let Some((_, target)) = target.cloned() {
            tokio::spawn(lead(channel, target, reply));
        }
    }

    /// Takes a connection to the operator's agent, if it was offered.
    pub(crate) fn agent(&self, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        let agent = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = agent.clone() {
            tokio::spawn(lead(channel, Place::Socket(path), reply));
        }
    }
}

/// Joins a channel from the host with a place on our side.
async fn lead(channel: Channel<Msg>, target: Place, reply: ChannelOpenHandle) {
    let Ok(mut local) = reach(&target).await else {
        reply.reject(ChannelOpenFailure::ConnectFailed).await;
        return;
    };
    reply.accept().await;
    let mut remote = channel.into_stream();
    // However one end fails, both are closed now.
    let _ = copy_bidirectional(&mut local, &mut remote).await;
}

async fn reach(place: &Place) -> io::Result<Taken> {
    Ok(match place {
        Place::Port(host, port) => {
            let host = host.as_deref().unwrap_or("localhost");
            Box::new(dial(host, *port, Family::Any).await?)
        }
        Place::Socket(path) => Box::new(UnixStream::connect(path).await?),
    })
}

// === impl Forwards ===

impl Forwards {
    /// Listens for all of `forwards`.
    ///
    /// # Errors
    ///
    /// When one cannot be listened on.
    pub async fn listen(forwards: &[Forward]) -> Result<Self, ForwardError> {
        let (sender, taken) = mpsc::channel(16);
        let mut accepting = Vec::new();
        for forward in forwards {
            let failed = |source| ForwardError::Listen {
                place: forward.listen.to_string(),
                source,
            };
            let target = &forward.target;
            match &forward.listen {
                Place::Socket(path) => {
                    let listener = UnixListener::bind(path).map_err(failed)?;
                    accepting.push(accept(sender.clone(), target.clone(), listener));
                }
                Place::Port(host, port) => {
                    for listener in bind(host.as_deref(), *port).await.map_err(failed)? {
                        accepting.push(accept(sender.clone(), target.clone(), listener));
                    }
                }
            }
        }
        Ok(Self {
            taken,
            _accepting: accepting,
        })
    }
}

/// Takes connections for as long as somebody serves them.
fn accept<L: Listen>(
    sender: mpsc::Sender<(Taken, Option<Place>)>,
    target: Option<Place>,
    listener: L,
) -> Accepting {
    Accepting(tokio::spawn(async move {
        loop {
            match listener.next().await {
                Ok(stream) => {
                    if sender.send((stream, target.clone())).await.is_err() {
                        return;
                    }
                }
                // Such as too many open files: others may close theirs.
                Err(_passing) => tokio::time::sleep(PAUSE).await,
            }
        }
    }))
}

/// What takes connections.
trait Listen: Send + Sync + 'static {
    fn next(&self) -> impl Future<Output = io::Result<Taken>> + Send;
}

impl Listen for TcpListener {
    async fn next(&self) -> io::Result<Taken> {
        Ok(Box::new(self.accept().await?.0))
    }
}

impl Listen for UnixListener {
    async fn next(&self) -> io::Result<Taken> {
        Ok(Box::new(self.accept().await?.0))
    }
}

impl Session {
    /// Serves connections that come to our side, as long as it is polled.
    pub async fn serve(&self, mut forwards: Forwards) -> std::convert::Infallible {
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                // `recv` loses nothing when it is dropped.
                taken = forwards.taken.recv() => match taken {
                    Some((stream, target)) => running.push(self.join(stream, target)),
                    None => while running.next().await.is_some() {},
                },
                Some(()) = running.next() => {}
                else => std::future::pending().await,
            }
        }
    }

    async fn join(&self, mut near: Taken, target: Option<Place>) {
        let target = match target {
            Some(target) => target,
            None => match socks(&mut near).await {
                Ok(target) => target,
                Err(_nonsense) => return,
            },
        };
        match &target {
            Place::Port(host, port) => {
                let host = host.as_deref().unwrap_or("localhost");
                pass(near, self.open_tcp(host, *port).await).await;
            }
            Place::Socket(path) => {
                pass(near, self.open_unix(&path.to_string_lossy()).await).await;
            }
        }
    }

    /// Asks the host to take connections for us, which lead to a place on our side; returns the
    /// port, which the host chooses for port 0.
    ///
    /// # Errors
    ///
    /// When the host refuses.
    pub async fn forward_back(
        &self,
        host: Option<&str>,
        port: u16,
        target: Place,
    ) -> Result<u16, ForwardError> {
        let address = match host {
            None => "localhost",
            Some("*") => "",
            Some(host) => host,
        };
        let asked = self.handle.tcpip_forward(address, u32::from(port)).await;
        let chosen = asked.map_err(|source| ForwardError::Refused {
            place: Place::Port(host.map(ToOwned::to_owned), port).to_string(),
            source,
        })?;
        let port = if port == 0 { chosen } else { u32::from(port) };
        self.incoming.lead(port, target);
        Ok(u16::try_from(port).unwrap_or_default())
    }

    /// Lets commands that are run with it use the operator's agent behind `path`.
    pub(crate) fn offer_agent(&self, path: PathBuf) {
        self.incoming.offer_agent(path);
    }
}

async fn pass<S>(mut near: Taken, far: Result<S, ExecError>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // A host that cannot reach the place: closing is all that the near end can be told.
    if let Ok(mut far) = far {
        let _ = copy_bidirectional(&mut near, &mut far).await;
    }
}

/// Binds a port; both loopback addresses where no address is given.
async fn bind(host: Option<&str>, port: u16) -> io::Result<Vec<TcpListener>> {
    match host {
        Some("*" | "") => match TcpListener::bind(("::", port)).await {
            Ok(both) => Ok(vec![both]),
            Err(_no_version_6) => Ok(vec![TcpListener::bind(("0.0.0.0", port)).await?]),
        },
        Some(host) => Ok(vec![TcpListener::bind((host, port)).await?]),
        None => {
            let first = TcpListener::bind(("127.0.0.1", port)).await?;
            let port = first.local_addr()?.port();
            // Not every host has the other one.
            let second = TcpListener::bind(("::1", port)).await.ok();
            Ok([first].into_iter().chain(second).collect())
        }
    }
}

/// Reads where a client of SOCKS 4, 4a or 5 wants to go, and tells it to go on.
async fn socks(stream: &mut Taken) -> io::Result<Place> {
    let nonsense = || io::Error::from(io::ErrorKind::InvalidData);
    if stream.read_u8().await? == 4 {
        let (command, port) = (stream.read_u8().await?, stream.read_u16().await?);
        let address = stream.read_u32().await?;
        until_zero(stream).await?;
        // Version 4a puts a name behind an address that cannot be.
        let host = if (1..256).contains(&address) {
            until_zero(stream).await?
        } else {
            std::net::Ipv4Addr::from(address).to_string()
        };
        if command != 1 {
            return Err(nonsense());
        }
        stream.write_all(&[0, 90, 0, 0, 0, 0, 0, 0]).await?;
        return Ok(Place::Port(Some(host), port));
    }
    let n_methods = stream.read_u8().await?;
    let mut methods = vec![0; usize::from(n_methods)];
    stream.read_exact(&mut methods).await?;
    stream.write_all(&[5, 0]).await?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let host = match head[3] {
        1 => std::net::Ipv4Addr::from(stream.read_u32().await?).to_string(),
        4 => std::net::Ipv6Addr::from(stream.read_u128().await?).to_string(),
        3 => {
            let mut name = vec![0; usize::from(stream.read_u8().await?)];
            stream.read_exact(&mut name).await?;
            String::from_utf8(name).map_err(|_not_text| nonsense())?
        }
        _ => return Err(nonsense()),
    };
    let port = stream.read_u16().await?;
    if head[..2] != [5, 1] {
        stream.write_all(&[5, 7, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        return Err(nonsense());
    }
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    Ok(Place::Port(Some(host), port))
}

async fn until_zero(stream: &mut Taken) -> io::Result<String> {
    let mut text = Vec::new();
    loop {
        match stream.read_u8().await? {
            0 => {
                return String::from_utf8(text).map_err(|error| {
                    io::Error::new(io::ErrorKind::InvalidData, error.utf8_error())
                });
            }
            _ if text.len() > 255 => return Err(io::ErrorKind::InvalidData.into()),
            byte => text.push(byte),
        }
    }
}

// === impl Forward ===

impl Forward {
    /// Reads `[address:]port`, for SOCKS.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn dynamic(text: &str) -> Result<Self, ForwardError> {
        let wrong = || ForwardError::Form(text.to_owned());
        let listen = match parts(text).ok_or_else(wrong)?.as_slice() {
            [port] => Place::Port(None, port.parse().map_err(|_not_number| wrong())?),
            [host, port] => Place::Port(
                Some(any(host)),
                port.parse().map_err(|_not_number| wrong())?,
            ),
            _ => return Err(wrong()),
        };
        Ok(Self {
            listen,
            target: None,
        })
    }
}

impl FromStr for Forward {
    type Err = ForwardError;

    /// Reads `[address:]port:host:port`, addresses of IP version 6 in brackets, paths of sockets in
    /// the place of `[address:]port` and of `host:port`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ForwardError::Form(text.to_owned());
        let number = |text: &str| text.parse::<u16>().ok();
        let parts = parts(text).ok_or_else(wrong)?;
        let is_path = |text: &str| text.contains('/');
        let words: Vec<&str> = parts.iter().map(String::as_str).collect();
        let port = |host: &str, port: &str| Some(Place::Port(Some(host.to_owned()), number(port)?));
        let socket = |path: &str| Some(Place::Socket(PathBuf::from(path)));
        let ends = match words.as_slice() {
            [from, to] if is_path(from) && is_path(to) => (socket(from), socket(to)),
            [from, to] if is_path(to) => (number(from).map(|p| Place::Port(None, p)), socket(to)),
            [from, host, to] if is_path(from) => (socket(from), port(host, to)),
            [host, from, to] if is_path(to) => (port(&any(host), from), socket(to)),
            [from, host, to] => (number(from).map(|p| Place::Port(None, p)), port(host, to)),
            [bind, from, host, to] => (port(&any(bind), from), port(host, to)),
            _ => return Err(wrong()),
        };
        match ends {
            (Some(listen), Some(target)) => Ok(Self {
                listen,
                target: Some(target),
            }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(None, port) => write!(formatter, "port {port}"),
            Self::Port(Some(host), port) if host.contains(':') => {
                write!(formatter, "[{host}]:{port}")
            }
            Self::Port(Some(host), port) => write!(formatter, "{host}:{port}"),
            Self::Socket(path) => write!(formatter, "{}", path.display()),
        }
    }
}

/// An empty address is all addresses.
fn any(host: &str) -> String {
    if host.is_empty() { "*" } else { host }.to_owned()
}

/// Splits at colons outside brackets; `None` for a bracket that is left open.
fn parts(text: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('[') {
            let (inner, after) = tail.split_once(']')?;
            parts.last_mut()?.push_str(inner);
            rest = after;
        } else if let Some(tail) = rest.strip_prefix(':') {
            parts.push(String::new());
            rest = tail;
        } else {
            let end = rest.find([':', '[']).unwrap_or(rest.len());
            parts.last_mut()?.push_str(&rest[..end]);
            rest = &rest[end..];
        }
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwards_are_read_as_ssh_writes_them() {
        let port = |host: &str, port| Place::Port(Some(host.to_owned()), port);
        let socket = |path: &str| Place::Socket(PathBuf::from(path));
        for (text, listen, target) in [
            (
                "8080:localhost:80",
                Place::Port(None, 8080),
                port("localhost", 80),
            ),
            ("*:1:[::1]:2", port("*", 1), port("::1", 2)),
            (":1:h:2", port("*", 1), port("h", 2)),
            ("[::1]:1:h:2", port("::1", 1), port("h", 2)),
            ("1:/run/x.sock", Place::Port(None, 1), socket("/run/x.sock")),
            ("/tmp/a:/tmp/b", socket("/tmp/a"), socket("/tmp/b")),
            ("/tmp/a:h:2", socket("/tmp/a"), port("h", 2)),
        ] {
            let forward: Forward = text.parse().unwrap();
            assert_eq!(
                (forward.listen, forward.target),
                (listen, Some(target)),
                "{text}"
            );
        }
        for text in ["", "80", "1:h", "1:h:70000", "[::1:1:h:2", "a:b:c:d:e"] {
            text.parse::<Forward>().unwrap_err();
        }
        assert_eq!(
            Forward::dynamic("1080").unwrap().listen,
            Place::Port(None, 1080)
        );
    }
}
