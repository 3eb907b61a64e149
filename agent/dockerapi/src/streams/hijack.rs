//! Taking a connection over: after the answer's head it carries bytes of a process in both
//! directions, and either can end before the other.

use std::any::Any;
use std::sync::Arc;

use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Response, StatusCode};
use hyper::ext::ReasonPhrase;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::answer;
use crate::body::{self, Body};
use crate::call::Call;
use crate::streams::session::{self, Talk};

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
            Ok(upgraded) => {
                // What the client has sent already is the first that is read of it.
                let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
                talk.run(reader, writer).await;
            }
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
