//! Answers.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::body::{self, Body};

/// Type of everything that is not a stream of bytes.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Type of archives.
pub(crate) const TAR: HeaderValue = HeaderValue::from_static("application/x-tar");

/// Answers with an object or list, and a newline as Go's encoder has it.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    let mut text = match serde_json::to_vec(value) {
        Ok(text) => text,
        Err(error) => {
            // Only keys that are no texts can fail, and there are none.
            tracing::error!(error = %error, "answer not written");
            return plain(StatusCode::INTERNAL_SERVER_ERROR);
        }
    };
    text.push(b'\n');
    with(status, JSON, body::whole(text))
}

/// Answers with an object or list that was asked for.
pub(crate) fn ok(value: &impl Serialize) -> Response<Body> {
    json(StatusCode::OK, value)
}

/// Answers with a status only.
pub(crate) fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = status;
    response
}

/// Answers that it is done.
pub(crate) fn done() -> Response<Body> {
    plain(StatusCode::NO_CONTENT)
}

/// Answers with a body of some type.
pub(crate) fn with(status: StatusCode, kind: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
