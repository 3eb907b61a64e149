//! The processes of a container.

use std::sync::Arc;

use berth_agent_engine::Engine;
use berth_proto::v1;
use tonic::Status;

use crate::containers::blocking;
use crate::status;

/// Lists processes.
pub(super) async fn top(
    engine: &Arc<Engine>,
    request: v1::TopRequest,
) -> Result<v1::TopResponse, Status> {
    let engine = Arc::clone(engine);
    let table = blocking(move || engine.top(&request.container, &request.ps_arguments))
        .await?
        .map_err(|e| status::of(&e))?;
    let process = |fields| v1::top_response::Process { fields };
    Ok(v1::TopResponse {
        titles: table.titles,
        processes: table.processes.into_iter().map(process).collect(),
    })
}
