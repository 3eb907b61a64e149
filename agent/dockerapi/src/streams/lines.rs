//! Objects in lines, each sent as soon as it is there: events, statistics, progress.

use std::io;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::answer;
use crate::body::{self, Body};

/// Answers with objects as they come.
pub(crate) fn answer<T>(objects: impl Stream<Item = T> + Send + 'static) -> Response<Body>
where
    T: Serialize + Send + 'static,
{
    let lines = objects.map(|object| line(&object, "\n"));
    answer::with(StatusCode::OK, answer::JSON, body::streamed(lines))
}

/// Writes an object with what ends its line.
pub(crate) fn line(object: &impl Serialize, end: &str) -> io::Result<Bytes> {
    let mut text = serde_json::to_vec(object).map_err(io::Error::other)?;
    text.extend_from_slice(end.as_bytes());
    Ok(Bytes::from(text))
}
