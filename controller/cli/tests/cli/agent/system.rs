//! What the agent says of itself.

use berth_proto::v1::system_service_server::SystemService;
use berth_proto::v1::{
    DiskUsageRequest, DiskUsageResponse, InfoRequest, InfoResponse, VersionRequest, VersionResponse,
};
use tonic::{Request, Response, Status};

use super::Seen;

#[tonic::async_trait]
impl SystemService for Seen {
    async fn version(
        &self,
        _request: Request<VersionRequest>,
    ) -> Result<Response<VersionResponse>, Status> {
        Ok(Response::new(VersionResponse {
            version: "9.8.7".to_owned(),
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            ..VersionResponse::default()
        }))
    }

    async fn info(&self, _request: Request<InfoRequest>) -> Result<Response<InfoResponse>, Status> {
        Ok(Response::new(InfoResponse {
            name: "deck".to_owned(),
            containers: 3,
            memory_total_bytes: 2 << 30,
            warnings: vec!["No swap limit support".to_owned()],
            ..InfoResponse::default()
        }))
    }

    type EventsStream =
        tokio_stream::wrappers::ReceiverStream<Result<berth_proto::v1::Event, Status>>;

    async fn events(
        &self,
        _request: Request<berth_proto::v1::EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        Err(Status::unimplemented("events"))
    }

    async fn disk_usage(
        &self,
        _request: Request<DiskUsageRequest>,
    ) -> Result<Response<DiskUsageResponse>, Status> {
        Ok(Response::new(DiskUsageResponse {
            layers_size_bytes: 7_000_000,
            ..DiskUsageResponse::default()
        }))
    }
}
