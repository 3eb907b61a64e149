//! Connections of hosts: any number of them, and any number of calls on each.

use std::sync::Arc;
use std::time::Duration;

use berth_provisioners_api::Driver;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;

use super::machine::Served;
use super::methods::{self, CLOSE, HEARTBEAT};
use super::{Reboot, tell};
use crate::gob::{Body, Head, Reader, Value, Writer};
use crate::rpc::handshake;

/// How long a client may take for the first lines.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long to wait before accepting again when the system refuses a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Why serving has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The host said so.
    Closed,
    /// The host has not been heard of.
    Abandoned,
}

/// One driver, served.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    served: Served,
    beat: Notify,
    closed: Notify,
}

type Output = Arc<Mutex<(OwnedWriteHalf, Writer)>>;

// === impl Server ===

impl Server {
    pub(crate) fn new(driver: Arc<dyn Driver>, reboot: Reboot) -> Self {
        let inner = Inner {
            served: Served::new(driver, reboot),
            beat: Notify::new(),
            closed: Notify::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Serves until a host closes the driver, or none sends heartbeats.
    pub(crate) async fn serve(self, listener: TcpListener, limit: Duration) -> Ending {
        let accepting = tokio::spawn(self.clone().accept(listener));
        let ending = loop {
            tokio::select! {
                () = self.inner.closed.notified() => break Ending::Closed,
                beat = timeout(limit, self.inner.beat.notified()) => {
                    if beat.is_err() {
                        tell("No heartbeat: the host has ended\n");
                        break Ending::Abandoned;
                    }
                }
            }
        };
        accepting.abort();
        ending
    }

    async fn accept(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _peer)) => {
                    tokio::spawn(self.clone().connection(stream));
                }
                Err(_error) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn connection(self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let shaken = timeout(HANDSHAKE, handshake::accept(&mut stream)).await;
        if !matches!(shaken, Ok(Ok(()))) {
            return;
        }
        let (input, output) = stream.into_split();
        let output: Output = Arc::new(Mutex::new((output, Writer::default())));
        let mut reader = Reader::new(BufReader::new(input));
        while let Ok(Some((method, seq, argument))) = call(&mut reader).await {
            tokio::spawn(
                self.clone()
                    .answer(Arc::clone(&output), method, seq, argument),
            );
        }
    }

    async fn answer(self, output: Output, method: String, seq: u64, argument: Value) {
        let plain = match methods::plain(&method) {
            Ok(plain) => plain.to_owned(),
            Err(error) => return send(&output, (method, seq), Err(error)).await,
        };
        match plain.as_str() {
            HEARTBEAT => self.inner.beat.notify_one(),
            CLOSE => {
                tell("Closing plugin on server side\n");
                send(&output, (method, seq), Ok(Body::Empty)).await;
                self.inner.closed.notify_one();
                return;
            }
            _ => {}
        }
        // A driver that panics has only failed.
        let inner = Arc::clone(&self.inner);
        let work = async move { methods::call(&inner.served, &plain, argument).await };
        let result = tokio::spawn(work)
            .await
            .unwrap_or_else(|panic| Err(format!("Panic in the driver: {panic}")));
        send(&output, (method, seq), result).await;
    }
}

/// Reads one call.
async fn call(
    reader: &mut Reader<OwnedReadHalf>,
) -> Result<Option<(String, u64, Value)>, crate::gob::GobError> {
    let Some(head) = reader.value().await? else {
        return Ok(None);
    };
    let Some(argument) = reader.value().await? else {
        return Ok(None);
    };
    let method = head.text_of("ServiceMethod").to_owned();
    let seq = head.int_of("Seq").cast_unsigned();
    Ok(Some((method, seq, argument)))
}

async fn send(output: &Output, (method, seq): (String, u64), result: Result<Body, String>) {
    let (body, error) = match result {
        Ok(body) => (body, String::new()),
        Err(error) => (Body::Empty, error),
    };
    let head = Head::Response { method, seq, error };
    let mut output = output.lock().await;
    let (stream, writer) = &mut *output;
    let bytes = writer.encode(&head, &body);
    // A client that has gone needs no answer.
    let _ = stream.write_all(&bytes).await;
}
