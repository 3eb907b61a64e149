//! `FileService`: copying in and out of containers, changes, export and commit.

use std::sync::Arc;

use berth_agent_engine::Engine;
use berth_proto::v1;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming, async_trait};

/// The files of the machine's containers.
pub(crate) struct Files {
    #[expect(dead_code, reason = "the calls follow")]
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
        _request: Request<v1::StatRequest>,
    ) -> Result<Response<v1::StatResponse>, Status> {
        Err(Status::unimplemented("stat"))
    }

    async fn changes(
        &self,
        _request: Request<v1::ChangesRequest>,
    ) -> Result<Response<v1::ChangesResponse>, Status> {
        Err(Status::unimplemented("changes"))
    }

    async fn commit(
        &self,
        _request: Request<v1::CommitRequest>,
    ) -> Result<Response<v1::CommitResponse>, Status> {
        Err(Status::unimplemented("commit"))
    }

    type GetStream = BoxStream<'static, Result<v1::GetResponse, Status>>;

    async fn get(
        &self,
        _request: Request<v1::GetRequest>,
    ) -> Result<Response<Self::GetStream>, Status> {
        Err(Status::unimplemented("get"))
    }

    type ExportStream = BoxStream<'static, Result<v1::ExportResponse, Status>>;

    async fn export(
        &self,
        _request: Request<v1::ExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        Err(Status::unimplemented("export"))
    }

    async fn put(
        &self,
        _request: Request<Streaming<v1::PutRequest>>,
    ) -> Result<Response<v1::PutResponse>, Status> {
        Err(Status::unimplemented("put"))
    }
}
