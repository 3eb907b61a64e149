//! A TCP proxy that breaks connections at chosen places.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// What happens to one connection.
#[derive(Clone, Copy)]
pub(crate) enum Fate {
    /// It lives.
    Lives,
    /// It is cut after so many bytes from the server.
    CutAfter(u64),
    /// Nothing more comes after so many bytes, but it stays open.
    StallsAfter(u64),
    /// It is cut after so many bytes from the client.
    CutAfterSent(u64),
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    received: AtomicU64,
    n_connections: AtomicUsize,
    stopped: AtomicBool,
    stalled: AtomicBool,
}

impl Proxy {
    /// Passes on to `target`; the n-th connection has the n-th fate, later ones the last.
    pub(crate) fn start(target: SocketAddr, fates: Vec<Fate>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port");
        let address = listener.local_addr().expect("address");
        let shared = Arc::new(Shared::default());
        let server = Arc::clone(&shared);
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if server.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let number = server.n_connections.fetch_add(1, Ordering::SeqCst);
                let fate = fates
                    .get(number)
                    .or_else(|| fates.last())
                    .copied()
                    .unwrap_or(Fate::Lives);
                let Ok(upstream) = TcpStream::connect(target) else {
                    continue;
                };
                let (c, u) = (
                    client.try_clone().expect("socket"),
                    upstream.try_clone().expect("socket"),
                );
                let sent_limit = match fate {
                    Fate::CutAfterSent(limit) => limit,
                    _ => u64::MAX,
                };
                std::thread::spawn(move || {
                    if pass(c, &u, sent_limit, |_| {}) {
                        let _ = u.shutdown(Shutdown::Both);
                    }
                });
                let server = Arc::clone(&server);
                std::thread::spawn(move || down(upstream, &client, fate, &server));
            }
        });
        Self { address, shared }
    }

    /// How many bytes came from the server so far.
    pub(crate) fn received(&self) -> u64 {
        self.shared.received.load(Ordering::SeqCst)
    }

    pub(crate) fn n_connections(&self) -> usize {
        self.shared.n_connections.load(Ordering::SeqCst)
    }

    /// Whether a connection has come to where it stalls.
    pub(crate) fn has_stalled(&self) -> bool {
        self.shared.stalled.load(Ordering::SeqCst)
    }

    pub(crate) fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn down(upstream: TcpStream, client: &TcpStream, fate: Fate, shared: &Shared) {
    let limit = match fate {
        Fate::CutAfter(limit) | Fate::StallsAfter(limit) => limit,
        Fate::Lives | Fate::CutAfterSent(_) => u64::MAX,
    };
    let count = |n: u64| {
        shared.received.fetch_add(n, Ordering::SeqCst);
    };
    let is_cut = pass(upstream, client, limit, count);
    if is_cut && matches!(fate, Fate::StallsAfter(_)) {
        shared.stalled.store(true, Ordering::SeqCst);
        // Until the other end gives up.
        let mut rest = [0; 1];
        let _ = client.try_clone().expect("socket").read(&mut rest);
    }
    let _ = client.shutdown(Shutdown::Both);
}

/// Copies up to `limit` bytes; true when that was reached.
fn pass(mut from: TcpStream, mut to: &TcpStream, limit: u64, count: impl Fn(u64)) -> bool {
    let mut left = limit;
    let mut buffer = [0; 16 * 1024];
    while left > 0 {
        let n = match from.read(&mut buffer) {
            Ok(n) if n > 0 => n,
            _ => {
                let _ = to.shutdown(Shutdown::Write);
                return false;
            }
        };
        let n = usize::try_from(left).map_or(n, |left| n.min(left));
        if to.write_all(&buffer[..n]).is_err() {
            return false;
        }
        count(n as u64);
        left -= n as u64;
    }
    true
}
