//! Failures as clients see them: a status, and a sentence in an object. This is the only place that
//! knows which kind of failure has which status.

use std::io;

use berth_agent_engine::{Classified, ErrorClass};
use http::{Response, StatusCode};
use serde_json::json;

use crate::answer;
use crate::body::Body;

/// A call that failed.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    sentence: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        let sentence = sentence.into();
        Self { status, sentence }
    }

    pub(crate) fn bad_request(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }

    pub(crate) fn not_found(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, sentence)
    }

    pub(crate) fn not_implemented(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, sentence)
    }

    pub(crate) fn internal(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, sentence)
    }

    /// What Docker says of paths that it does not have.
    pub(crate) fn page_not_found() -> Self {
        Self::not_found("page not found")
    }

    /// Returns the failure of work that was cut off.
    pub(crate) fn cut_off(error: &tokio::task::JoinError) -> Self {
        Self::internal(format!("the work was cut off: {error}"))
    }

    pub(crate) fn sentence(&self) -> &str {
        &self.sentence
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the same failure with another status.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Returns the answer for the client.
    pub(crate) fn answer(&self) -> Response<Body> {
        if self.status.is_server_error() {
            tracing::debug!(status = %self.status, sentence = self.sentence, "call failed");
        }
        answer::json(self.status, &json!({ "message": self.sentence }))
    }
}

impl<E: Classified> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self::new(status(error.class()), error.sentence())
    }
}

fn status(class: ErrorClass) -> StatusCode {
    match class {
        ErrorClass::NotFound => StatusCode::NOT_FOUND,
        ErrorClass::AlreadyExists | ErrorClass::Conflict => StatusCode::CONFLICT,
        ErrorClass::InvalidArgument => StatusCode::BAD_REQUEST,
        ErrorClass::Unsupported => StatusCode::NOT_IMPLEMENTED,
        // Docker knows no status for a full disk, nor for a registry that does not answer. That a
        // registry refuses its credentials must not look as if this agent did.
        ErrorClass::Exhausted
        | ErrorClass::Unauthorized
        | ErrorClass::Unavailable
        | ErrorClass::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Returns the failure as one of input and output, which ends a body.
pub(crate) fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}
