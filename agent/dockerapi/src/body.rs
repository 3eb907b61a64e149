//! Bodies of answers.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::Frame;

/// Body of an answer.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Returns a body of nothing.
pub(crate) fn empty() -> Body {
    Empty::new().map_err(never).boxed_unsync()
}

/// Returns a body whose length is known.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(never).boxed_unsync()
}

/// Returns a body that goes on while the stream does; an error cuts the connection off.
pub(crate) fn streamed(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(stream.map(|chunk| chunk.map(Frame::data))).boxed_unsync()
}

fn never(never: Infallible) -> io::Error {
    match never {}
}
