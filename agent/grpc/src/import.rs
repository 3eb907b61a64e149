//! `ImageService.Import`: a tar that arrives in chunks becomes an image.

use std::sync::Arc;

use berth_agent_build::apply_changes;
use berth_agent_engine::Engine;
use berth_agent_images::{ImageConfiguration, ImportRequest};
use berth_proto::v1::{self, import_request};
use tonic::{Status, Streaming};

use crate::context;
use crate::images::{platform, reference};
use crate::status;

/// Imports an image and returns its id.
pub(crate) async fn import(
    engine: &Arc<Engine>,
    mut requests: Streaming<v1::ImportRequest>,
) -> Result<String, Status> {
    let first = requests
        .message()
        .await?
        .and_then(|request| request.message);
    let Some(import_request::Message::Options(options)) = first else {
        return Err(status::invalid(
            "the first message of an import must be its options",
        ));
    };
    let name = match options.reference.as_str() {
        "" => None,
        text => Some(reference(text)?),
    };
    let mut config = ImageConfiguration::default();
    apply_changes(&mut config, &options.changes)
        .map_err(|error| status::invalid(error.to_string()))?;
    let request = ImportRequest {
        reference: name,
        config,
        comment: options.comment,
        platform: platform(&options.platform)?,
    };
    let chunks = context::reader(requests, |request| match request.message {
        Some(import_request::Message::Chunk(bytes)) => bytes,
        Some(import_request::Message::Options(_)) | None => Vec::new(),
    });
    // Read on a thread that may block, by the images' contract.
    let reader = Box::new(context::blocking(chunks));
    let id = engine
        .images()
        .import_rootfs(reader, request)
        .await
        .map_err(|e| status::of(&e))?;
    engine.image_event("import", id.as_str(), id.as_str());
    Ok(id.to_string())
}
