//! Serving one container.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::forward::{self, Transport, Upstream, read_message, write_message};
use super::question::{Malformed, Question};
use super::zone;
use super::{ADDRESS, answer};
use crate::Resolver;
use crate::firewall::Firewall;
use crate::network::Inner;

/// Most questions of one container that are worked on at a time; more are not heard.
const MOST_AT_ONCE: usize = 256;

/// Most of them that wait for servers outside. The names of containers need nobody, and must not wait
/// because these do.
const MOST_OUTSIDE: usize = 64;

/// Longest answer in one datagram, and over TCP.
const DATAGRAM: usize = 512;
const STREAM: usize = u16::MAX as usize;

/// Longest question that anybody has a reason to send.
const LONGEST_QUESTION: usize = 4096;

/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(10);

/// How long nothing is heard after an error.
const PAUSE: Duration = Duration::from_millis(10);

/// The protocols' numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Where the container's questions come in.
#[derive(Debug)]
pub(crate) struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

/// The container that is served.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    network: Weak<Inner>,
    id: String,
    namespace: Arc<File>,
    /// Room for questions that wait for servers outside.
    outside: Arc<Semaphore>,
}

/// A running server; dropping it ends it.
#[derive(Debug)]
pub(crate) struct NameServer {
    tasks: [JoinHandle<()>; 2],
}

// === impl Sockets ===

impl Sockets {
    /// Opens sockets in the calling thread's namespace, whose loopback interface is up, and leads
    /// questions to them.
    pub(crate) fn open() -> io::Result<Self> {
        let udp = UdpSocket::bind((ADDRESS, 0))?;
        let tcp = TcpListener::bind((ADDRESS, 0))?;
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        let ports = [
            (UDP, udp.local_addr()?.port()),
            (TCP, tcp.local_addr()?.port()),
        ];
        let mut firewall = Firewall::open()?;
        firewall
            .serve_names(ADDRESS.into(), ports)
            .map_err(|error| error.source)?;
        Ok(Self { udp, tcp })
    }

    /// Serves what comes in.
    pub(crate) fn serve(self, client: Client, runtime: &Handle) -> io::Result<NameServer> {
        let _context = runtime.enter();
        let udp = Arc::new(tokio::net::UdpSocket::from_std(self.udp)?);
        let tcp = tokio::net::TcpListener::from_std(self.tcp)?;
        let turn = Arc::new(AtomicUsize::new(0));
        let datagrams = runtime.spawn(serve_udp(udp, client.clone(), Arc::clone(&turn)));
        let streams = runtime.spawn(serve_tcp(tcp, client, turn));
        Ok(NameServer {
            tasks: [datagrams, streams],
        })
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn serve_udp(socket: Arc<tokio::net::UdpSocket>, client: Client, turn: Arc<AtomicUsize>) {
    let mut work = JoinSet::new();
    let mut buffer = vec![0; LONGEST_QUESTION];
    loop {
        while work.try_join_next().is_some() {}
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            // Someone who asked is gone; that concerns nobody else. What stays wrong must not spin.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if work.len() >= MOST_AT_ONCE {
            work.join_next().await;
        }
        let (client, turn, socket) = (client.clone(), Arc::clone(&turn), Arc::clone(&socket));
        let message = buffer[..length].to_vec();
        work.spawn(async move {
            if let Some(answer) = client.answer(&message, Transport::Udp, &turn).await {
                reply(&socket, &answer, from).await;
            }
        });
    }
}

async fn reply(socket: &tokio::net::UdpSocket, answer: &[u8], to: SocketAddr) {
    if let Err(error) = socket.send_to(answer, to).await {
        tracing::debug!(%error, "answer not sent");
    }
}

async fn serve_tcp(listener: tokio::net::TcpListener, client: Client, turn: Arc<AtomicUsize>) {
    let mut work = JoinSet::new();
    loop {
        while work.try_join_next().is_some() {}
        if work.len() >= MOST_AT_ONCE {
            work.join_next().await;
        }
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        work.spawn(serve_stream(stream, client.clone(), Arc::clone(&turn)));
    }
}

async fn serve_stream(mut stream: TcpStream, client: Client, turn: Arc<AtomicUsize>) {
    while let Ok(Ok(message)) = timeout(IDLE, read_message(&mut stream)).await {
        let Some(answer) = client.answer(&message, Transport::Tcp, &turn).await else {
            return;
        };
        let written = timeout(IDLE, write_message(&mut stream, &answer)).await;
        if !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}

// === impl Client ===

impl Client {
    /// Returns what is known of a container whose names are to be served.
    pub(crate) fn new(network: Weak<Inner>, id: String, namespace: File) -> Self {
        Self {
            network,
            id,
            namespace: Arc::new(namespace),
            outside: Arc::new(Semaphore::new(MOST_OUTSIDE)),
        }
    }

    /// Returns the answer to a message; nothing when it deserves none.
    async fn answer(
        &self,
        message: &[u8],
        transport: Transport,
        turn: &AtomicUsize,
    ) -> Option<Vec<u8>> {
        let question = match Question::parse(message) {
            Ok(question) => question,
            Err(Malformed::Ignored) => return None,
            Err(Malformed::Refused) => return answer::refusal(message),
        };
        let network = self.network.upgrade()?;
        let name = question.name();
        let known = zone::look_up(&network.leases(), &self.id, &name);
        if let Some(known) = known {
            let room = match transport {
                Transport::Udp => DATAGRAM,
                Transport::Tcp => STREAM,
            };
            return answer::known(&question, &known, turn, room);
        }
        let Ok(_room) = self.outside.try_acquire() else {
            return answer::failure(&question);
        };
        let servers = self.servers(&network);
        drop(network);
        let found = forward::ask(message, &servers, transport, &self.namespace).await;
        found.or_else(|| answer::failure(&question))
    }

    /// Returns the servers for other names: the container's own, or the machine's. From networks that
    /// nothing leaves nobody is asked.
    fn servers(&self, network: &Inner) -> Vec<Upstream> {
        let (own, leads_out) = match network.leases().get(&self.id) {
            Some(lease) => {
                let leads_out = lease.endpoints.iter().any(|endpoint| !endpoint.internal);
                (lease.nameservers.clone(), leads_out)
            }
            None => return Vec::new(),
        };
        if !leads_out {
            return Vec::new();
        }
        if !own.is_empty() {
            let own = own.into_iter().filter(|address| *address != ADDRESS);
            let own = own.map(|address| Upstream {
                address,
                on_machine: false,
            });
            return own.collect();
        }
        let machines = Resolver::of_host(&network.config.resolv_conf).nameservers;
        let machines = machines.into_iter().map(|address| Upstream {
            address,
            on_machine: address.is_loopback(),
        });
        machines.collect()
    }
}
