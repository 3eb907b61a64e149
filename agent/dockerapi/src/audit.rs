//! Which calls are changes, and what is recorded of them.

use berth_agent_access::{AuditEntry, AuditLog, Identity};
use http::{Method, Response};

use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;

/// Parameters that say what a call is about; others may be secret.
const OBJECTS: [&str; 6] = ["name", "fromImage", "container", "repo", "tag", "t"];

/// What is recorded of a call.
#[derive(Debug)]
pub(crate) struct Note {
    call: String,
    object: String,
}

/// Whether a call may change something. Waiting for a container is done by POST and changes nothing.
pub(crate) fn is_change(call: &Call) -> bool {
    let is_reading = matches!(call.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let only_looks = call.path == "/auth"
        || (call.path.starts_with("/containers/") && call.path.ends_with("/wait"));
    !is_reading && !only_looks
}

impl Note {
    pub(crate) fn of(call: &Call) -> Self {
        let mut object = String::new();
        for key in OBJECTS {
            for value in call.query.all(key) {
                if !object.is_empty() {
                    object.push(' ');
                }
                object.push_str(&format!("{key}={value}"));
            }
        }
        Self {
            call: format!("{} {}", call.method, call.path),
            object,
        }
    }

    /// Records the call. Of one whose answer goes on, how it began.
    pub(crate) fn write(
        &self,
        log: &AuditLog,
        identity: &Identity,
        result: &Result<Response<Body>, ApiError>,
    ) {
        let status = match result {
            Ok(response) => response.status(),
            Err(error) => error.status(),
        };
        log.note(&AuditEntry {
            identity,
            call: &self.call,
            object: &self.object,
            result: status.as_str(),
        });
    }
}
