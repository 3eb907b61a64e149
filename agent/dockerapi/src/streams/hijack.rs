//! Taking a connection over: after the answer's head it carries bytes of a process in both
//! directions, and either can end before the other.

use std::any::Any;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use berth_agent_sys::socket::is_all_read;

use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Response, StatusCode};
use hyper::ext::ReasonPhrase;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::{Parts, downcast};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::UnixStream;

use crate::answer;
use crate::body::{self, Body};
use crate::call::Call;
use crate::streams::session::{self, Talk};

/// Between two looks whether something was read.
const LOOK: Duration = Duration::from_micros(200);
/// How long that is looked at.
const PATIENCE: Duration = Duration::from_millis(500);
/// What is said instead of `Switching Protocols`; some old clients look for it.
const UPGRADED: ReasonPhrase = ReasonPhrase::from_static(b"UPGRADED");

/// In the extensions of a request: something that is kept for as long as its connection, such as the
/// connection's place among those that are admitted.
#[derive(Clone)]
pub struct Hold {
    _kept: Arc<dyn Any + Send + Sync>,
}

impl Hold {
    /// Keeps something.
    pub fn new(kept: Arc<dyn Any + Send + Sync>) -> Self {
        Self { _kept: kept }
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hold")
    }
}

/// Talks with a client, over the whole connection if the client asks for that.
pub(crate) fn answer(mut call: Call, media_type: HeaderValue, talk: Talk) -> Response<Body> {
    let Some(protocol) = call.headers().get(UPGRADE).cloned() else {
        return without_upgrade(call, media_type, talk);
    };
    let hold = call.request.extensions().get::<Hold>().cloned();
    let upgrade = hyper::upgrade::on(&mut call.request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => take_over(upgraded, talk).await,
            Err(error) => tracing::debug!(error = %error, "connection not taken over"),
        }
        drop(hold);
    });
    let mut response = answer::with(StatusCode::SWITCHING_PROTOCOLS, media_type, body::empty());
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, protocol);
    response.extensions_mut().insert(UPGRADED);
    response
}

/// Talks over a connection. What the client has sent already is the first that is read of it.
async fn take_over(upgraded: Upgraded, talk: Talk) {
    match downcast::<TokioIo<UnixStream>>(upgraded) {
        Ok(Parts { io, read_buf, .. }) => {
            let stream = io.into_inner();
            head_is_read(&stream).await;
            let (reader, writer) = stream.into_split();
            talk.run(Cursor::new(read_buf).chain(reader), writer).await;
        }
        Err(upgraded) => {
            let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
            talk.run(reader, writer).await;
        }
    }
}

/// Waits until a client of this machine has read the answer's head: docker-py loses what comes with it,
/// since it goes on reading beside the buffer that has it.
async fn head_is_read(stream: &UnixStream) {
    let waiting = async {
        while matches!(is_all_read(stream), Ok(false)) {
            tokio::time::sleep(LOOK).await;
        }
    };
    // Who does not read at all has nothing to lose.
    let _ = tokio::time::timeout(PATIENCE, waiting).await;
}

/// Sends the output as the answer's body, and takes the request's body for input.
fn without_upgrade(call: Call, media_type: HeaderValue, talk: Talk) -> Response<Body> {
    let (_parts, input) = call.into_reader();
    let (near, far) = session::pipe();
    tokio::spawn(async move { talk.run(input, near).await });
    let chunks = tokio_util::io::ReaderStream::new(far);
    answer::with(StatusCode::OK, media_type, body::streamed(chunks))
}

/// Both ends of a connection.
pub(crate) trait Reader: AsyncRead + Send + Unpin + 'static {}
impl<T: AsyncRead + Send + Unpin + 'static> Reader for T {}
/// What is written to.
pub(crate) trait Writer: AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncWrite + Send + Unpin + 'static> Writer for T {}
