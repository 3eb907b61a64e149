//! `NetworkService`.

use std::sync::Arc;

use berth_agent_engine::{Engine, NetworkOptions, NetworkView, PoolOptions};
use berth_proto::v1;
use tonic::{Request, Response, Status, async_trait};

use crate::convert::options::endpoint;
use crate::status;

/// The networks of the machine.
pub(crate) struct Networks {
    engine: Arc<Engine>,
}

impl Networks {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }
}

#[async_trait]
impl v1::network_service_server::NetworkService for Networks {
    async fn create(
        &self,
        request: Request<v1::CreateNetworkRequest>,
    ) -> Result<Response<v1::CreateNetworkResponse>, Status> {
        let options = options(request.into_inner());
        let made = self.engine.create_network(options).await;
        let made = made.map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::CreateNetworkResponse {
            id: made.id,
            warning: made.warning,
        }))
    }

    async fn list(
        &self,
        request: Request<v1::ListNetworksRequest>,
    ) -> Result<Response<v1::ListNetworksResponse>, Status> {
        let found = self.engine.list_networks(&request.into_inner().filters);
        let found = found.map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::ListNetworksResponse {
            networks: found.into_iter().map(message).collect(),
        }))
    }

    async fn inspect(
        &self,
        request: Request<v1::InspectNetworkRequest>,
    ) -> Result<Response<v1::InspectNetworkResponse>, Status> {
        let found = self.engine.inspect_network(&request.into_inner().network);
        let found = found.map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::InspectNetworkResponse {
            json: found.to_json().to_string(),
        }))
    }

    async fn connect_container(
        &self,
        request: Request<v1::ConnectNetworkRequest>,
    ) -> Result<Response<v1::ConnectNetworkResponse>, Status> {
        let request = request.into_inner();
        let asked = endpoint(request.endpoint.unwrap_or_default());
        let network = asked.network.clone();
        self.engine
            .connect_network(&network, &request.container, asked)
            .await
            .map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::ConnectNetworkResponse {}))
    }

    async fn disconnect_container(
        &self,
        request: Request<v1::DisconnectNetworkRequest>,
    ) -> Result<Response<v1::DisconnectNetworkResponse>, Status> {
        let request = request.into_inner();
        self.engine
            .disconnect_network(&request.network, &request.container)
            .await
            .map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::DisconnectNetworkResponse {}))
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveNetworkRequest>,
    ) -> Result<Response<v1::RemoveNetworkResponse>, Status> {
        let removed = self
            .engine
            .remove_network(&request.into_inner().network)
            .await;
        removed.map_err(|e| status::of(&e))?;
        Ok(Response::new(v1::RemoveNetworkResponse {}))
    }

    async fn prune(
        &self,
        request: Request<v1::PruneNetworksRequest>,
    ) -> Result<Response<v1::PruneNetworksResponse>, Status> {
        let removed = self
            .engine
            .prune_networks(&request.into_inner().filters)
            .await;
        Ok(Response::new(v1::PruneNetworksResponse {
            removed: removed.map_err(|e| status::of(&e))?,
        }))
    }
}

fn options(request: v1::CreateNetworkRequest) -> NetworkOptions {
    let pool = |pool: v1::NetworkPool| PoolOptions {
        subnet: pool.subnet,
        gateway: pool.gateway,
        ip_range: pool.ip_range,
        aux_addresses: pool.aux_addresses.into_iter().collect(),
    };
    NetworkOptions {
        name: request.name,
        driver: request.driver,
        ipam_driver: request.ipam_driver,
        ipam_options: request.ipam_options.into_iter().collect(),
        pools: request.pools.into_iter().map(pool).collect(),
        internal: request.internal,
        attachable: request.attachable,
        ingress: request.ingress,
        config_only: request.config_only,
        config_from: request.config_from,
        scope: request.scope,
        enable_ipv4: request.enable_ipv4,
        enable_ipv6: request.enable_ipv6,
        options: request.options.into_iter().collect(),
        labels: request.labels.into_iter().collect(),
    }
}

fn message(view: NetworkView) -> v1::Network {
    v1::Network {
        id: view.id,
        name: view.name,
        created: Some(view.created.into()),
        scope: view.scope,
        driver: view.driver,
        enable_ipv4: view.enable_ipv4,
        enable_ipv6: view.enable_ipv6,
        internal: view.internal,
        labels: view.labels.into_iter().collect(),
    }
}
