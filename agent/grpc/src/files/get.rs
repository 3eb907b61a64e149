//! Archives out of containers: `Get` and `Export`.

use std::sync::Arc;

use berth_agent_engine::{ArchiveChunks, Engine, GetOptions};
use berth_proto::v1::{self, get_response};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, stream};
use tonic::Status;

use super::path_stat;
use crate::status;

/// Sends what a path is, then its archive.
pub(super) async fn get(
    engine: &Arc<Engine>,
    request: v1::GetRequest,
) -> Result<BoxStream<'static, Result<v1::GetResponse, Status>>, Status> {
    let options = GetOptions {
        follow_link: request.follow_link,
        sparse: request.sparse,
    };
    let (stat, chunks) = engine
        .get_archive(&request.container, &request.path, options)
        .await
        .map_err(|e| status::of(&e))?;
    let stat = get_response::Message::Stat(path_stat(stat));
    let first = stream::once(std::future::ready(Ok(stat)));
    let rest = pieces(chunks).map(|chunk| chunk.map(get_response::Message::Chunk));
    let messages = first.chain(rest).map(|message| {
        message.map(|message| v1::GetResponse {
            message: Some(message),
        })
    });
    Ok(messages.boxed())
}

/// Sends the archive of a whole root file system.
pub(super) async fn export(
    engine: &Arc<Engine>,
    request: v1::ExportRequest,
) -> Result<BoxStream<'static, Result<v1::ExportResponse, Status>>, Status> {
    let chunks = engine
        .export(&request.container)
        .await
        .map_err(|e| status::of(&e))?;
    Ok(pieces(chunks)
        .map(|chunk| chunk.map(|chunk| v1::ExportResponse { chunk }))
        .boxed())
}

fn pieces(chunks: ArchiveChunks) -> impl Stream<Item = Result<Vec<u8>, Status>> + Send {
    stream::unfold(Some(chunks), |chunks| async move {
        let mut chunks = chunks?;
        match chunks.next().await {
            // Nobody else has the chunk, so that this copies nothing.
            Ok(Some(chunk)) => Some((Ok(Vec::from(chunk)), Some(chunks))),
            Ok(None) => None,
            Err(error) => Some((Err(status::of(&error)), None)),
        }
    })
}
