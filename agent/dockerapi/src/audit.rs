//! Which calls are changes, and what is recorded of them.

use std::sync::Arc;

use berth_agent_access::{AuditLog, AuditNote, Identity};
use http::{Method, Response};

use crate::body::Body;
use crate::call::Call;
use crate::error::ApiError;

/// Parameters that say what a call is about; others may be secret.
const OBJECTS: [&str; 6] = ["name", "fromImage", "container", "repo", "tag", "t"];

/// In the extensions of an answer: what a call was about that its path and parameters do not say.
#[derive(Clone, Debug)]
struct About(String);

/// Whether a call may change something, which is all that is not known to look only. It is read as the
/// router does it.
pub(crate) fn is_change(method: &Method, path: &str) -> bool {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let only_looks = matches!(
        (method, segments.as_slice()),
        (&Method::GET | &Method::HEAD | &Method::OPTIONS, _)
            | (&Method::POST, ["auth"] | ["containers", _, "wait"])
    );
    !only_looks
}

/// Begins to record a call.
pub(crate) fn begin(log: &Arc<AuditLog>, identity: &Arc<Identity>, call: &Call) -> AuditNote {
    let mut object = String::new();
    for key in OBJECTS {
        for value in call.query.all(key) {
            if !object.is_empty() {
                object.push(' ');
            }
            object.push_str(&format!("{key}={value}"));
        }
    }
    log.begin(identity, format!("{} {}", call.method, call.path), object)
}

/// Records a call. Of one whose answer goes on, how it began.
pub(crate) fn end(mut note: AuditNote, result: &Result<Response<Body>, ApiError>) {
    let status = match result {
        Ok(response) => {
            if let Some(About(object)) = response.extensions().get() {
                note.is_about(object);
            }
            response.status()
        }
        Err(error) => error.status(),
    };
    note.end(status.as_str());
}

/// Has the record say what a call was about, besides its path and parameters.
pub(crate) fn about(mut response: Response<Body>, object: String) -> Response<Body> {
    response.extensions_mut().insert(About(object));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_waiting_and_looking_are_no_changes() {
        for (method, path, wanted) in [
            (Method::GET, "/containers/x/json", false),
            (Method::HEAD, "/_ping", false),
            (Method::POST, "/containers/x/wait", false),
            (Method::POST, "/auth", false),
            (Method::DELETE, "/containers/wait", true),
            (Method::DELETE, "/containers//wait", true),
            (Method::DELETE, "/containers/x/wait", true),
            (Method::PUT, "/containers/x/wait", true),
            (Method::POST, "/containers/wait", true),
            (Method::POST, "/containers/x/y/wait", true),
            (Method::DELETE, "/auth", true),
            (Method::POST, "/containers/x/start", true),
        ] {
            assert_eq!(is_change(&method, path), wanted, "{method} {path}");
        }
    }
}
