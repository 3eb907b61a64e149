//! What is known of a further command.

use http::Response;
use serde_json::json;

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::error::ApiError;

/// Answers with the object.
pub(super) fn inspect(api: &Api, id: &str) -> Result<Response<Body>, ApiError> {
    let state = api.engine().inspect_exec(id)?;
    let options = &state.options;
    let (entrypoint, arguments) = options
        .command
        .split_first()
        .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    Ok(answer::ok(&json!({
        "ID": state.id,
        "Running": state.running,
        "ExitCode": state.exit_code,
        "ProcessConfig": {
            "tty": options.tty,
            "entrypoint": entrypoint,
            "arguments": arguments,
            "privileged": options.privileged,
            "user": options.user,
        },
        "OpenStdin": options.stdin,
        "OpenStderr": options.stderr,
        "OpenStdout": options.stdout,
        "CanRemove": state.has_ended,
        "ContainerID": state.container.as_str(),
        "DetachKeys": options.detach_keys,
        "Pid": state.pid,
    })))
}
