//! `ImageService.Import`: a tar that arrives in chunks, or that is fetched, becomes an image.

use std::io::Read;
use std::sync::Arc;

use berth_agent_build::apply_changes;
use berth_agent_engine::Engine;
use berth_agent_images::{ImageConfiguration, ImportRequest, fetch};
use berth_proto::v1::{self, import_request};
use tokio_util::io::StreamReader;
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
        comment: comment(options.comment, &options.url),
        platform: platform(&options.platform)?,
    };
    // Read on a thread that may block, by the images' contract.
    let reader: Box<dyn Read + Send> = if options.url.is_empty() {
        let chunks = context::reader(requests, |request| match request.message {
            Some(import_request::Message::Chunk(bytes)) => bytes,
            Some(import_request::Message::Options(_)) | None => Vec::new(),
        });
        Box::new(context::blocking(chunks))
    } else {
        let body = fetch(&options.url).await.map_err(|e| status::of(&e))?;
        Box::new(context::blocking(StreamReader::new(Box::pin(body))))
    };
    let id = engine
        .images()
        .import_rootfs(reader, request)
        .await
        .map_err(|e| status::of(&e))?;
    engine.image_event("import", id.as_str(), id.as_str());
    Ok(id.to_string())
}

/// Returns the remark for the history, which tells where the image is from if nobody says more.
fn comment(given: String, url: &str) -> String {
    match (given.as_str(), url) {
        ("", "") => "Imported from -".to_owned(),
        ("", url) => format!("Imported from {url}"),
        _ => given,
    }
}
