//! `FileService`: this file has the plain calls, its neighbours the streams.

mod commit;
mod get;
mod put;

use std::sync::Arc;

use berth_agent_engine::{Change, ChangeKind, Engine, PathStat};
use berth_proto::v1;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::status;

/// The files of the machine's containers.
pub(crate) struct Files {
    engine: Arc<Engine>,
}

impl Files {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }
}

#[async_trait]
impl v1::file_service_server::FileService for Files {
    async fn stat(
        &self,
        request: Request<v1::StatRequest>,
    ) -> Result<Response<v1::StatResponse>, Status> {
        let request = request.into_inner();
        let stat = self
            .engine
            .stat_path(&request.container, &request.path)
            .await
            .map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::StatResponse {
            stat: Some(path_stat(stat)),
        }))
    }

    async fn changes(
        &self,
        request: Request<v1::ChangesRequest>,
    ) -> Result<Response<v1::ChangesResponse>, Status> {
        let request = request.into_inner();
        let changes = self
            .engine
            .changes(&request.container)
            .await
            .map_err(|e| status::of(&e))?;
        let changes = changes.into_iter().map(change).collect();
        Ok(Response::new(v1::ChangesResponse { changes }))
    }

    async fn commit(
        &self,
        request: Request<v1::CommitRequest>,
    ) -> Result<Response<v1::CommitResponse>, Status> {
        let image_id = commit::commit(&self.engine, request.into_inner()).await?;
        Ok(Response::new(v1::CommitResponse { image_id }))
    }

    type GetStream = BoxStream<'static, Result<v1::GetResponse, Status>>;

    async fn get(
        &self,
        request: Request<v1::GetRequest>,
    ) -> Result<Response<Self::GetStream>, Status> {
        let stream = get::get(&self.engine, request.into_inner()).await?;
        Ok(Response::new(stream))
    }

    type ExportStream = BoxStream<'static, Result<v1::ExportResponse, Status>>;

    async fn export(
        &self,
        request: Request<v1::ExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let stream = get::export(&self.engine, request.into_inner()).await?;
        Ok(Response::new(stream))
    }

    async fn put(
        &self,
        request: Request<Streaming<v1::PutRequest>>,
    ) -> Result<Response<v1::PutResponse>, Status> {
        put::put(&self.engine, request.into_inner()).await?;
        Ok(Response::new(v1::PutResponse {}))
    }
}

fn path_stat(stat: PathStat) -> v1::PathStat {
    let text = |name: std::ffi::OsString| name.to_string_lossy().into_owned();
    v1::PathStat {
        name: text(stat.name),
        size_bytes: stat.size,
        mode: stat.mode,
        modified: Some(stat.modified.into()),
        link_target: stat.link_target.map(text).unwrap_or_default(),
    }
}

fn change(change: Change) -> v1::Change {
    let kind = match change.kind {
        ChangeKind::Modified => v1::change::Kind::Modified,
        ChangeKind::Added => v1::change::Kind::Added,
        ChangeKind::Deleted => v1::change::Kind::Deleted,
    };
    v1::Change {
        kind: kind.into(),
        path: change.path.to_string_lossy().into_owned(),
    }
}
