//! One call: what was asked, by whom, and what is still to be read of it.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use http::request::Parts;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, BodyStream, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio_util::io::StreamReader;

use crate::decode;
use crate::error::ApiError;
use crate::incoming::RequestBody;
use crate::query::Query;
use crate::version::ApiVersion;

/// Bytes of a body that describes something.
const LONGEST_DESCRIPTION: usize = 4 * 1024 * 1024;
/// How long such a body may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Path without version, decoded.
    pub(crate) path: String,
    pub(crate) version: ApiVersion,
    pub(crate) query: Query,
    pub(crate) request: Request<RequestBody>,
}

/// A body as bytes to read.
pub(crate) type BodyReader =
    StreamReader<Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>, Bytes>;

impl Call {
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// Whether there is a body, as far as that can be known before it is read.
    pub(crate) fn has_body(&self) -> bool {
        !hyper::body::Body::is_end_stream(self.request.body())
    }

    /// Reads a description.
    ///
    /// # Errors
    /// When it is missing, too long, or not what it should be.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, ApiError> {
        self.check_type()?;
        let bytes = self.bytes().await?;
        decode::json(&bytes)
    }

    /// Reads a description that may be left out.
    ///
    /// # Errors
    /// When it is too long, or not what it should be.
    pub(crate) async fn json_or_default<T>(&mut self) -> Result<T, ApiError>
    where
        T: DeserializeOwned + Default,
    {
        let bytes = self.bytes().await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(T::default());
        }
        self.check_type()?;
        decode::json(&bytes)
    }

    async fn bytes(&mut self) -> Result<Bytes, ApiError> {
        let body = Limited::new(self.request.body_mut(), LONGEST_DESCRIPTION);
        let collected = tokio::time::timeout(PATIENCE, body.collect()).await;
        let collected = collected
            .map_err(|_elapsed| ApiError::bad_request("the request's body does not arrive"))?;
        let whole = collected.map_err(|error| {
            if error.is::<LengthLimitError>() {
                ApiError::bad_request("http: request body too large")
            } else {
                ApiError::bad_request(format!("reading the request's body: {error}"))
            }
        })?;
        Ok(whole.to_bytes())
    }

    fn check_type(&self) -> Result<(), ApiError> {
        let kind = self.headers().get(http::header::CONTENT_TYPE);
        let Some(kind) = kind.and_then(|kind| kind.to_str().ok()) else {
            return Ok(());
        };
        let media = kind.split(';').next().unwrap_or_default().trim();
        if media.is_empty() || media.eq_ignore_ascii_case("application/json") {
            return Ok(());
        }
        Err(ApiError::bad_request(format!(
            "unsupported Content-Type header ({media}): must be 'application/json'"
        )))
    }

    /// Takes the body as bytes to read. That it was cut off is an error, not an end.
    pub(crate) fn into_reader(self) -> (Parts, BodyReader) {
        let (parts, body) = self.request.into_parts();
        let frames = BodyStream::new(body);
        let chunks = TryStreamExt::map_err(frames, io::Error::other)
            .try_filter_map(|frame| std::future::ready(Ok(frame.into_data().ok())));
        (parts, StreamReader::new(Box::pin(chunks)))
    }
}
