//! Whether anybody is there, and which version they speak: what every client asks first.

use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, PRAGMA};

use crate::body::{self, Body};

/// The builder that clients should use: the classic one.
const BUILDER_VERSION: HeaderName = HeaderName::from_static("builder-version");
const SWARM: HeaderName = HeaderName::from_static("swarm");

/// Answers, with the body that a HEAD does not get.
pub(super) fn ping() -> Response<Body> {
    let mut response = Response::new(body::whole("OK"));
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
        (PRAGMA, "no-cache"),
        (BUILDER_VERSION, "1"),
        (SWARM, "inactive"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
