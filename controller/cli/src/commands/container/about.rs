//! What must be known of a container before attaching to it.

use berth_proto::v1::InspectRequest;
use serde_json::Value;

use crate::engine::Engine;
use crate::failure::Failure;

/// A few facts about a container.
#[derive(Debug)]
pub(super) struct About {
    pub(super) id: String,
    pub(super) running: bool,
    pub(super) paused: bool,
    pub(super) restarting: bool,
    pub(super) tty: bool,
    pub(super) open_stdin: bool,
    /// It is removed when it ends.
    pub(super) auto_remove: bool,
}

// === impl About ===

impl About {
    /// Asks the agent.
    pub(super) async fn of(engine: &Engine, container: &str) -> Result<Self, Failure> {
        let request = InspectRequest {
            container: container.to_owned(),
            size: false,
        };
        let response = engine.containers().inspect(request).await?.into_inner();
        let json: Value = serde_json::from_str(&response.json)
            .map_err(|error| Failure::during("the agent's answer is no JSON", &error))?;
        let flag = |path: &str| json.pointer(path).and_then(Value::as_bool).unwrap_or(false);
        let id = json.get("Id").and_then(Value::as_str).unwrap_or(container);
        Ok(Self {
            id: id.to_owned(),
            running: flag("/State/Running"),
            paused: flag("/State/Paused"),
            restarting: flag("/State/Restarting"),
            tty: flag("/Config/Tty"),
            open_stdin: flag("/Config/OpenStdin"),
            auto_remove: flag("/HostConfig/AutoRemove"),
        })
    }
}
