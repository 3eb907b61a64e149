//! `VolumeService`.

use std::sync::Arc;

use berth_agent_engine::{Engine, Volume, VolumeRequest};
use berth_proto::v1;
use tonic::{Request, Response, Status, async_trait};

use crate::containers::blocking;
use crate::status;

/// The only driver, and how far volumes reach.
const LOCAL: &str = "local";

/// The volumes of the machine.
pub(crate) struct Volumes {
    engine: Arc<Engine>,
}

impl Volumes {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }
}

#[async_trait]
impl v1::volume_service_server::VolumeService for Volumes {
    async fn create(
        &self,
        request: Request<v1::CreateVolumeRequest>,
    ) -> Result<Response<v1::CreateVolumeResponse>, Status> {
        let request = request.into_inner();
        let engine = Arc::clone(&self.engine);
        let wanted = VolumeRequest {
            name: request.name,
            driver: request.driver,
            options: request.options.into_iter().collect(),
            labels: request.labels.into_iter().collect(),
        };
        let volume = blocking(move || engine.create_volume(wanted))
            .await?
            .map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::CreateVolumeResponse {
            volume: Some(message(volume)),
        }))
    }

    async fn list(
        &self,
        request: Request<v1::ListVolumesRequest>,
    ) -> Result<Response<v1::ListVolumesResponse>, Status> {
        let filters = request.into_inner().filters;
        let engine = Arc::clone(&self.engine);
        let volumes = blocking(move || engine.list_volumes(&filters))
            .await?
            .map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::ListVolumesResponse {
            volumes: volumes.into_iter().map(message).collect(),
        }))
    }

    async fn inspect(
        &self,
        request: Request<v1::InspectVolumeRequest>,
    ) -> Result<Response<v1::InspectVolumeResponse>, Status> {
        let volume = self.engine.inspect_volume(&request.into_inner().name);
        let volume = volume.map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::InspectVolumeResponse {
            volume: Some(message(volume)),
        }))
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveVolumeRequest>,
    ) -> Result<Response<v1::RemoveVolumeResponse>, Status> {
        let request = request.into_inner();
        let engine = Arc::clone(&self.engine);
        blocking(move || engine.remove_volume(&request.name, request.force))
            .await?
            .map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::RemoveVolumeResponse {}))
    }

    async fn prune(
        &self,
        request: Request<v1::PruneVolumesRequest>,
    ) -> Result<Response<v1::PruneVolumesResponse>, Status> {
        let filters = request.into_inner().filters;
        let engine = Arc::clone(&self.engine);
        let pruned = blocking(move || engine.prune_volumes(&filters))
            .await?
            .map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::PruneVolumesResponse {
            removed: pruned.removed,
            space_reclaimed_bytes: pruned.reclaimed,
        }))
    }
}

pub(crate) fn message(volume: Volume) -> v1::Volume {
    v1::Volume {
        name: volume.name,
        driver: LOCAL.to_owned(),
        mountpoint: volume.mountpoint.to_string_lossy().into_owned(),
        created: Some(volume.created_at.into()),
        labels: volume.labels.into_iter().collect(),
        options: volume.options.into_iter().collect(),
        scope: LOCAL.to_owned(),
    }
}
