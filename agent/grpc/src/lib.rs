//! The gRPC face of the engine: the services of package `berth.v1`, documented in `proto/`.
//!
//! It translates messages and streams, and maps errors to codes; rules about containers are the
//! engine's. Who may call is decided before, by the listener.

mod access;
mod build;
mod containers;
mod context;
mod convert;
mod events;
mod files;
mod images;
mod import;
mod networks;
mod security;
mod session;
mod status;
mod system;
mod volumes;

use std::sync::Arc;

use berth_agent_engine::Engine;
use berth_agent_trust::Trust;
use berth_proto::MAX_MESSAGE_BYTES;
use berth_proto::v1::build_service_server::BuildServiceServer;
use berth_proto::v1::container_service_server::ContainerServiceServer;
use berth_proto::v1::file_service_server::FileServiceServer;
use berth_proto::v1::image_service_server::ImageServiceServer;
use berth_proto::v1::network_service_server::NetworkServiceServer;
use berth_proto::v1::security_service_server::SecurityServiceServer;
use berth_proto::v1::system_service_server::SystemServiceServer;
use berth_proto::v1::volume_service_server::VolumeServiceServer;
use tonic::service::Routes;

pub use access::is_change;

/// What the agent's build says of itself.
#[derive(Clone, Debug, Default)]
pub struct Build {
    /// Git commit, or empty.
    pub git_commit: String,
}

/// Returns all services over `engine`, and over `trust` when TLS is served.
#[must_use]
pub fn routes(engine: &Arc<Engine>, build: Build, trust: Option<Arc<Trust>>) -> Routes {
    let system = system::System::new(Arc::clone(engine), build);
    let images = images::Images::new(Arc::clone(engine));
    let containers = containers::Containers::new(Arc::clone(engine));
    let files = files::Files::new(Arc::clone(engine));
    let builds = build::Builds::new(Arc::clone(engine));
    let networks = networks::Networks::new(Arc::clone(engine));
    let security = security::Security::new(trust);
    let volumes = volumes::Volumes::new(Arc::clone(engine));
    Routes::new(SystemServiceServer::new(system).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(ImageServiceServer::new(images).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(
            ContainerServiceServer::new(containers).max_decoding_message_size(MAX_MESSAGE_BYTES),
        )
        .add_service(FileServiceServer::new(files).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(BuildServiceServer::new(builds).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(VolumeServiceServer::new(volumes).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(
            NetworkServiceServer::new(networks).max_decoding_message_size(MAX_MESSAGE_BYTES),
        )
        .add_service(SecurityServiceServer::new(security))
        .prepare()
}
