//! Errors on the wire: a code, Docker's sentence, and the stable word in a trailer.

use berth_agent_engine::{Classified, ErrorClass};
use berth_proto::{EXIT_CODE_TRAILER, REASON_TRAILER};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

/// Returns the status for an error of the engine.
pub(crate) fn of(error: &(impl Classified + ?Sized)) -> Status {
    build(error.class(), error.reason(), error.sentence(), None)
}

/// Returns the status for a message that makes no sense.
pub(crate) fn invalid(message: impl Into<String>) -> Status {
    build(
        ErrorClass::InvalidArgument,
        "invalid-argument",
        message.into(),
        None,
    )
}

/// Returns the status for a failed build or command.
pub(crate) fn with_exit_code(error: &(impl Classified + ?Sized), exit_code: Option<i32>) -> Status {
    build(error.class(), error.reason(), error.sentence(), exit_code)
}

/// Returns the status for any kind of failure.
pub(crate) fn build(
    class: ErrorClass,
    reason: &'static str,
    message: String,
    exit_code: Option<i32>,
) -> Status {
    let message = cut(message);
    if class == ErrorClass::Internal {
        tracing::warn!(reason, message, "call failed");
    }
    let mut trailers = MetadataMap::new();
    trailers.insert(REASON_TRAILER, MetadataValue::from_static(reason));
    if let Some(code) = exit_code {
        trailers.insert(EXIT_CODE_TRAILER, code.into());
    }
    Status::with_metadata(code(class), message, trailers)
}

/// Longest sentence of an error in bytes. It travels in a header, of which clients take some 16 KiB, and each byte that
/// is not plain takes three; a caller's own text may be in it.
const MOST_TEXT: usize = 3 * 1024;

fn cut(mut message: String) -> String {
    if message.len() > MOST_TEXT {
        message.truncate(message.floor_char_boundary(MOST_TEXT));
        message.push('…');
    }
    message
}

fn code(class: ErrorClass) -> Code {
    match class {
        ErrorClass::NotFound => Code::NotFound,
        ErrorClass::AlreadyExists => Code::AlreadyExists,
        ErrorClass::Conflict => Code::FailedPrecondition,
        ErrorClass::InvalidArgument => Code::InvalidArgument,
        ErrorClass::Exhausted => Code::ResourceExhausted,
        // Not UNAUTHENTICATED and not UNAVAILABLE, which would say these of the agent itself.
        ErrorClass::Unauthorized => Code::PermissionDenied,
        ErrorClass::Unavailable => Code::Aborted,
        ErrorClass::Unsupported => Code::Unimplemented,
        ErrorClass::Internal => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_carries_reason_and_exit_code() {
        let status = build(
            ErrorClass::NotFound,
            "image-not-found",
            "m".to_owned(),
            Some(7),
        );
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(
            status.metadata().get(REASON_TRAILER).expect("reason"),
            "image-not-found"
        );
        assert_eq!(status.metadata().get(EXIT_CODE_TRAILER).expect("code"), "7");
    }
}
