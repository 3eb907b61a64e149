//! Images of containers.

use std::sync::Arc;

use berth_agent_build::apply_changes;
use berth_agent_engine::{CommitOptions, Engine};
use berth_agent_images::ImageConfiguration;
use berth_proto::v1;
use tonic::Status;

use crate::images::reference;
use crate::status;

/// Makes an image and returns its id.
pub(super) async fn commit(
    engine: &Arc<Engine>,
    request: v1::CommitRequest,
) -> Result<String, Status> {
    let name = match request.reference.as_str() {
        "" => None,
        text => Some(reference(text)?),
    };
    let mut changed = ImageConfiguration::default();
    apply_changes(&mut changed, &request.changes)
        .map_err(|error| status::invalid(error.to_string()))?;
    let options = CommitOptions {
        reference: name,
        author: request.author,
        message: request.message,
        changes: changed.config,
        pause: request.pause,
    };
    let image = engine
        .commit(&request.container, options)
        .await
        .map_err(|e| status::of(&e))?;
    Ok(image.to_string())
}
