//! Calls that change a container which exists: pause, unpause, rename, update, prune.

use std::sync::Arc;

use berth_agent_engine::{Engine, UpdateOptions};
use berth_proto::v1;
use tonic::Status;

use crate::convert;
use crate::status;

/// Freezes a container.
pub(super) async fn pause(
    engine: &Arc<Engine>,
    request: v1::PauseRequest,
) -> Result<v1::PauseResponse, Status> {
    engine
        .pause(&request.container)
        .await
        .map_err(|e| status::of(&e))?;
    Ok(v1::PauseResponse {})
}

/// Thaws a container.
pub(super) async fn unpause(
    engine: &Arc<Engine>,
    request: v1::UnpauseRequest,
) -> Result<v1::UnpauseResponse, Status> {
    engine
        .unpause(&request.container)
        .await
        .map_err(|e| status::of(&e))?;
    Ok(v1::UnpauseResponse {})
}

/// Gives a container another name.
pub(super) async fn rename(
    engine: &Arc<Engine>,
    request: v1::RenameRequest,
) -> Result<v1::RenameResponse, Status> {
    engine
        .rename(&request.container, &request.new_name)
        .await
        .map_err(|e| status::of(&e))?;
    Ok(v1::RenameResponse {})
}

/// Changes limits and the restart policy.
pub(super) async fn update(
    engine: &Arc<Engine>,
    request: v1::UpdateRequest,
) -> Result<v1::UpdateResponse, Status> {
    let options = UpdateOptions {
        memory_bytes: request.memory_bytes,
        nano_cpus: request.nano_cpus,
        pids_limit: request.pids_limit,
        cpu_shares: request.cpu_shares,
        resources: convert::resources(request.resources.unwrap_or_default())?,
        restart_policy: request.restart_policy.map(convert::restart_policy),
    };
    let warnings = engine
        .update(&request.container, options)
        .await
        .map_err(|e| status::of(&e))?;
    Ok(v1::UpdateResponse { warnings })
}

/// Removes all containers that do not run.
pub(super) async fn prune(
    engine: &Arc<Engine>,
    request: v1::PruneContainersRequest,
) -> Result<v1::PruneContainersResponse, Status> {
    let pruned = engine
        .prune_containers(&request.filters)
        .await
        .map_err(|e| status::of(&e))?;
    Ok(v1::PruneContainersResponse {
        removed: pruned.removed,
        space_reclaimed_bytes: pruned.reclaimed,
    })
}
