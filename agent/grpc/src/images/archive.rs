//! Archives of images, and the history of one.

use std::sync::Arc;

use berth_agent_engine::{Engine, ImageChunks};
use berth_agent_images::{HistoryStep, Loaded};
use berth_proto::v1;
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use tonic::{Status, Streaming};

use crate::{context, status};

/// Sends an archive.
pub(super) async fn save(
    engine: &Arc<Engine>,
    request: v1::SaveRequest,
) -> Result<BoxStream<'static, Result<v1::SaveResponse, Status>>, Status> {
    let chunks = engine.save_images(request.names).await;
    let chunks: ImageChunks = chunks.map_err(|e| status::of(&e))?;
    let stream = stream::unfold(Some(chunks), |chunks| async move {
        let mut chunks = chunks?;
        match chunks.next().await {
            // Nobody else has the chunk, so that this copies nothing.
            Ok(Some(chunk)) => {
                let chunk = Vec::from(chunk);
                Some((Ok(v1::SaveResponse { chunk }), Some(chunks)))
            }
            Ok(None) => None,
            Err(error) => Some((Err(status::of(&error)), None)),
        }
    });
    Ok(stream.boxed())
}

/// Takes an archive in.
pub(super) async fn load(
    engine: &Arc<Engine>,
    requests: Streaming<v1::LoadRequest>,
) -> Result<Vec<v1::LoadedImage>, Status> {
    let chunks = context::reader(requests, |request: v1::LoadRequest| request.chunk);
    let loaded = engine.load_images(Box::new(context::blocking(chunks)));
    let loaded = loaded.await.map_err(|e| status::of(&e))?;
    Ok(loaded.into_iter().map(message).collect())
}

fn message(loaded: Loaded) -> v1::LoadedImage {
    let names = loaded.names.into_iter().map(|name| v1::LoadedName {
        name: name.name,
        replaced_image_id: name.replaced.map(|id| id.to_string()).unwrap_or_default(),
    });
    v1::LoadedImage {
        id: loaded.id.to_string(),
        names: names.collect(),
    }
}

pub(super) fn step(step: HistoryStep) -> v1::HistoryStep {
    let created = step.entry.created.unwrap_or_default();
    v1::HistoryStep {
        image_id: step.image.map(|id| id.to_string()).unwrap_or_default(),
        created_unix_seconds: berth_agent_engine::unix_seconds(&created),
        created_by: step.entry.created_by.unwrap_or_default(),
        comment: step.entry.comment.unwrap_or_default(),
        size_bytes: step.size,
        tags: step.tags,
    }
}
