//! Volumes.

use berth_proto::v1::volume_service_server::VolumeService;
use berth_proto::v1::*;
use tonic::{Code, Request, Response, Status};

use super::{Seen, refuse};

type Answer<T> = Result<Response<T>, Status>;

fn volume(name: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        driver: "local".to_owned(),
        mountpoint: format!("/volumes/{name}/_data"),
        scope: "local".to_owned(),
        ..Volume::default()
    }
}

#[tonic::async_trait]
impl VolumeService for Seen {
    async fn create(&self, request: Request<CreateVolumeRequest>) -> Answer<CreateVolumeResponse> {
        let request = request.into_inner();
        let made = Volume {
            options: request.options,
            labels: request.labels,
            ..volume(&request.name)
        };
        self.with(|state| state.volumes.push(made.clone()));
        Ok(Response::new(CreateVolumeResponse { volume: Some(made) }))
    }

    async fn list(&self, _request: Request<ListVolumesRequest>) -> Answer<ListVolumesResponse> {
        let volumes = vec![volume("v10"), volume("v9")];
        Ok(Response::new(ListVolumesResponse { volumes }))
    }

    async fn inspect(
        &self,
        request: Request<InspectVolumeRequest>,
    ) -> Answer<InspectVolumeResponse> {
        let name = request.into_inner().name;
        if name != "data" {
            let message = format!("get {name}: no such volume");
            return Err(refuse(Code::NotFound, "volume-not-found", &message));
        }
        let found = Volume {
            labels: [("a".to_owned(), "1".to_owned())].into(),
            ..volume(&name)
        };
        Ok(Response::new(InspectVolumeResponse {
            volume: Some(found),
        }))
    }

    async fn remove(&self, request: Request<RemoveVolumeRequest>) -> Answer<RemoveVolumeResponse> {
        let name = request.into_inner().name;
        if name == "used" {
            let message = "remove used: volume is in use - [0123]";
            return Err(refuse(Code::FailedPrecondition, "volume-in-use", message));
        }
        Ok(Response::new(RemoveVolumeResponse {}))
    }

    async fn prune(&self, request: Request<PruneVolumesRequest>) -> Answer<PruneVolumesResponse> {
        let filters = request.into_inner().filters;
        self.with(|state| state.pruned.push(("volumes", filters)));
        Ok(Response::new(PruneVolumesResponse {
            removed: vec!["loose".to_owned()],
            space_reclaimed_bytes: 500_000,
        }))
    }
}
