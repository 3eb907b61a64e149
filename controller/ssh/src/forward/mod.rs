//! Ports and sockets that lead through a session: ours to the host's side, the host's to ours, and
//! the operator's agent.

mod socks;
mod words;

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use russh::client::{ChannelOpenHandle, Msg};
use russh::{Channel, ChannelOpenFailure};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::mpsc;

use self::socks::socks;
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
