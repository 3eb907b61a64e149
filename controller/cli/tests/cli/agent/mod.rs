//! An agent whose containers do what a few made-up commands say.

mod builds;
mod containers;
mod files;
mod images;
mod process;
mod system;
mod volumes;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_proto::REASON_TRAILER;
use berth_proto::v1::build_service_server::BuildServiceServer;
use berth_proto::v1::container_service_server::ContainerServiceServer;
use berth_proto::v1::file_service_server::FileServiceServer;
use berth_proto::v1::image_service_server::ImageServiceServer;
use berth_proto::v1::system_service_server::SystemServiceServer;
use berth_proto::v1::volume_service_server::VolumeServiceServer;
use berth_proto::v1::{BuildOptions, ContainerConfig, RegistryAuth};
use tokio::net::UnixListener;
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Code, Status};

pub(crate) use files::ARCHIVE;

/// The agent, until it is dropped.
pub(crate) struct FakeAgent {
    pub(crate) seen: Seen,
    runtime: Option<tokio::runtime::Runtime>,
}

/// What the agent was asked.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<State>>);

/// State of the agent.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) containers: HashMap<String, Container>,
    pub(crate) pulled: Vec<(String, Option<RegistryAuth>)>,
    pub(crate) removed: Vec<String>,
    pub(crate) volumes: Vec<berth_proto::v1::Volume>,
    pub(crate) pruned: Vec<(&'static str, Vec<String>)>,
    pub(crate) imported: Vec<u8>,
    pub(crate) unpacked: Vec<u8>,
    pub(crate) build: Option<(BuildOptions, Vec<u8>)>,
}

/// A container.
#[derive(Clone)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) config: ContainerConfig,
    pub(crate) started: watch::Sender<bool>,
    pub(crate) exited: watch::Sender<Option<i32>>,
    pub(crate) signals: broadcast::Sender<String>,
}

// === impl FakeAgent ===

impl FakeAgent {
    pub(crate) fn start(socket: &Path) -> Self {
        Self::with_patience(socket, None)
    }

    /// Starts one that asks silent clients whether they are there, and waits that long for an answer.
    pub(crate) fn with_patience(socket: &Path, patience: Option<Duration>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let seen = Seen::default();
        let entered = runtime.enter();
        let listener = UnixListener::bind(socket).unwrap();
        drop(entered);
        let server = tonic::transport::Server::builder()
            .http2_keepalive_interval(patience)
            .http2_keepalive_timeout(patience)
            .add_service(SystemServiceServer::new(seen.clone()))
            .add_service(ContainerServiceServer::new(seen.clone()))
            .add_service(FileServiceServer::new(seen.clone()))
            .add_service(ImageServiceServer::new(seen.clone()))
            .add_service(VolumeServiceServer::new(seen.clone()))
            .add_service(BuildServiceServer::new(seen.clone()));
        runtime.spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
        Self {
            seen,
            runtime: Some(runtime),
        }
    }
}

impl Drop for FakeAgent {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

// === impl Seen ===

impl Seen {
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    /// Finds a container by id, prefix or name.
    fn find(&self, wanted: &str) -> Result<(String, Container), Status> {
        self.with(|state| {
            let found = state
                .containers
                .iter()
                .find(|(id, container)| id.starts_with(wanted) || container.name == wanted)
                .map(|(id, container)| (id.clone(), container.clone()));
            found.ok_or_else(|| {
                refuse(
                    Code::NotFound,
                    "container-not-found",
                    &format!("No such container: {wanted}"),
                )
            })
        })
    }
}

/// An error as agents make them.
fn refuse(code: Code, reason: &str, message: &str) -> Status {
    let mut status = Status::new(code, message);
    status
        .metadata_mut()
        .insert(REASON_TRAILER, reason.parse().unwrap());
    status
}
