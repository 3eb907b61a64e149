//! Calls over one connection, any number of them at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::gob::{Body, Head, Reader, Value, Writer};

/// A call has no result.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum RpcError {
    /// The server answered with an error.
    #[error("{0}")]
    Server(String),
    /// The connection ended before an answer came.
    #[error("{0}")]
    Lost(String),
}

type Answer = oneshot::Sender<Result<Value, RpcError>>;

/// The calling end of a connection.
#[derive(Debug)]
pub(crate) struct Client {
    calls: Arc<Mutex<Calls>>,
}

/// The calls that wait for answers, and the way out for new ones.
#[derive(Debug)]
struct Calls {
    waiting: HashMap<u64, Answer>,
    next: u64,
    writer: Writer,
    /// Written by a task of its own: a caller that gives up must not leave half a message behind.
    out: mpsc::UnboundedSender<Vec<u8>>,
    /// Why there will be no more answers.
    ended: Option<String>,
}

// === impl Client ===

impl Client {
    /// Returns the client of a connection whose handshake is done; on a runtime.
    pub(crate) fn new(stream: TcpStream) -> Self {
        let (input, output) = stream.into_split();
        let (out, messages) = mpsc::unbounded_channel();
        let calls = Arc::new(Mutex::new(Calls {
            waiting: HashMap::new(),
            next: 0,
            writer: Writer::default(),
            out,
            ended: None,
        }));
        tokio::spawn(read(Reader::new(BufReader::new(input)), Arc::clone(&calls)));
        tokio::spawn(write(output, messages, Arc::downgrade(&calls)));
        Self { calls }
    }

    /// Calls a method, named with its service, and waits for the answer.
    pub(crate) async fn call(&self, method: &str, body: &Body) -> Result<Value, RpcError> {
        let answer = lock(&self.calls).begin(method, body)?;
        let gone = |_gone| Err(RpcError::Lost("the connection was closed".to_owned()));
        answer.await.unwrap_or_else(gone)
    }

    /// Ends all calls, now and later, with a reason.
    pub(crate) fn end(&self, reason: &str) {
        lock(&self.calls).end(reason);
    }
}

fn lock(calls: &Mutex<Calls>) -> MutexGuard<'_, Calls> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Calls ===

impl Calls {
    fn begin(
        &mut self,
        method: &str,
        body: &Body,
    ) -> Result<oneshot::Receiver<Result<Value, RpcError>>, RpcError> {
        if let Some(reason) = &self.ended {
            return Err(RpcError::Lost(reason.clone()));
        }
        let seq = self.next;
        self.next += 1;
        let (answer, receiver) = oneshot::channel();
        self.waiting.insert(seq, answer);
        let method = method.to_owned();
        let bytes = self.writer.encode(&Head::Request { method, seq }, body);
        // Without a writer the connection has ended, which the reader tells.
        let _ = self.out.send(bytes);
        Ok(receiver)
    }

    /// Keeps the first reason: later ones follow from it.
    fn end(&mut self, reason: &str) {
        self.ended.get_or_insert_with(|| reason.to_owned());
        for (_seq, answer) in self.waiting.drain() {
            let _ = answer.send(Err(RpcError::Lost(reason.to_owned())));
        }
    }
}

/// Sends messages until nobody can have more.
async fn write(
    mut output: OwnedWriteHalf,
    mut messages: mpsc::UnboundedReceiver<Vec<u8>>,
    calls: Weak<Mutex<Calls>>,
) {
    while let Some(bytes) = messages.recv().await {
        if let Err(error) = output.write_all(&bytes).await {
            if let Some(calls) = calls.upgrade() {
                lock(&calls).end(&format!("the connection broke: {error}"));
            }
            return;
        }
    }
}

/// Takes answers to whom they are for, until the connection ends.
async fn read(mut reader: Reader<OwnedReadHalf>, calls: Arc<Mutex<Calls>>) {
    let reason = loop {
        let head = match reader.value().await {
            Ok(Some(head)) => head,
            Ok(None) => break "it closed the connection".to_owned(),
            Err(error) => break error.to_string(),
        };
        if !matches!(head, Value::Struct(_)) {
            break "garbage on the wire: an answer has no head".to_owned();
        }
        let body = match reader.value().await {
            Ok(Some(body)) => body,
            Ok(None) => break "it closed the connection inside of an answer".to_owned(),
            Err(error) => break error.to_string(),
        };
        let seq = head.int_of("Seq").cast_unsigned();
        let error = head.text_of("Error");
        let result = if error.is_empty() {
            Ok(body)
        } else {
            Err(RpcError::Server(error.to_owned()))
        };
        // An answer that nobody waits for (any more) is dropped.
        if let Some(answer) = lock(&calls).waiting.remove(&seq) {
            let _ = answer.send(result);
        }
    };
    lock(&calls).end(&reason);
}
