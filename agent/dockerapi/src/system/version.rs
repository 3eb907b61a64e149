//! Which version of what answers.

use berth_agent_engine::{go_architecture, kernel_release};
use http::Response;
use serde_json::json;

use crate::answer;
use crate::api::Api;
use crate::body::Body;
use crate::version::{MAX_VERSION, MIN_VERSION};

/// Answers with the versions of agent and API.
pub(super) fn version(api: &Api) -> Response<Body> {
    let version = &api.engine().config().version;
    let (architecture, kernel) = (go_architecture(), kernel_release());
    let (newest, oldest) = (MAX_VERSION.to_string(), MIN_VERSION.to_string());
    let commit = &api.0.git_commit;
    answer::ok(&json!({
        "Platform": { "Name": "berth" },
        "Components": [{
            "Name": "Engine",
            "Version": version,
            "Details": {
                "ApiVersion": newest,
                "Arch": architecture,
                "BuildTime": "",
                "Experimental": "false",
                "GitCommit": commit,
                "GoVersion": "",
                "KernelVersion": kernel,
                "MinAPIVersion": oldest,
                "Os": "linux",
            },
        }],
        "Version": version,
        "ApiVersion": newest,
        "MinAPIVersion": oldest,
        "GitCommit": commit,
        "GoVersion": "",
        "Os": "linux",
        "Arch": architecture,
        "KernelVersion": kernel,
        "BuildTime": "",
    }))
}
