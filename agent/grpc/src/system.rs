//! `SystemService`.

use std::sync::Arc;
use std::time::SystemTime;

use berth_agent_engine::{
    Engine, KernelFeatures, executable_digest, go_architecture, kernel_release,
};
use berth_proto::v1;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::OnceCell;
use tonic::{Request, Response, Status, async_trait};

use crate::containers::blocking;
use crate::{Build, convert, events, images, status, volumes};

/// Where logs can go, the usual one first.
const LOG_DRIVERS: [&str; 3] = ["json-file", "local", "none"];

/// What networks there are.
const NETWORK_DRIVERS: [&str; 5] = ["bridge", "host", "ipvlan", "macvlan", "null"];

/// Facts about the agent and its machine.
pub(crate) struct System {
    engine: Arc<Engine>,
    build: Build,
    /// Found out when first asked for, as it means reading the whole executable.
    digest: OnceCell<String>,
}

impl System {
    pub(crate) fn new(engine: Arc<Engine>, build: Build) -> Self {
        Self {
            engine,
            build,
            digest: OnceCell::new(),
        }
    }

    async fn digest(&self) -> String {
        let find_out = || async {
            let work = tokio::task::spawn_blocking(executable_digest);
            match work.await {
                Ok(Ok(digest)) => digest,
                Ok(Err(error)) => {
                    tracing::warn!(error = %error, "own executable not readable");
                    String::new()
                }
                Err(error) => {
                    tracing::warn!(error = %error, "own executable not read");
                    String::new()
                }
            }
        };
        self.digest.get_or_init(find_out).await.clone()
    }
}

#[async_trait]
impl v1::system_service_server::SystemService for System {
    async fn version(
        &self,
        _request: Request<v1::VersionRequest>,
    ) -> Result<Response<v1::VersionResponse>, Status> {
        Ok(Response::new(v1::VersionResponse {
            version: self.engine.config().version.clone(),
            executable_sha256: self.digest().await,
            kernel_version: kernel_release(),
            os: "linux".to_owned(),
            architecture: go_architecture().to_owned(),
            git_commit: self.build.git_commit.clone(),
        }))
    }

    async fn info(
        &self,
        _request: Request<v1::InfoRequest>,
    ) -> Result<Response<v1::InfoResponse>, Status> {
        let info = self.engine.info();
        let config = self.engine.config();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(Response::new(v1::InfoResponse {
            id: info.id,
            name: info.name,
            server_version: config.version.clone(),
            containers: count(info.containers),
            containers_running: count(info.running),
            containers_paused: count(info.paused),
            containers_stopped: count(info.stopped),
            images: count(info.images),
            storage_driver: "overlayfs".to_owned(),
            root_dir: config.data_root.display().to_string(),
            cgroup_version: info.cgroup_version.to_owned(),
            kernel_version: info.kernel_version,
            operating_system: info.operating_system,
            os_type: "linux".to_owned(),
            // As `uname -m`, unlike the version's.
            architecture: std::env::consts::ARCH.to_owned(),
            n_cpus: count(info.n_cpus),
            memory_total_bytes: info.memory_total,
            default_runtime: info.default_runtime,
            runtimes: info.runtimes,
            security_options: info.security_options,
            insecure_registries: config.insecure_registries.clone(),
            warnings: info.warnings,
            labels: config.labels.clone(),
            driver_status: info.driver_status.into_iter().map(pair).collect(),
            logging_driver: LOG_DRIVERS[0].to_owned(),
            logging_drivers: LOG_DRIVERS.map(str::to_owned).to_vec(),
            volume_drivers: vec!["local".to_owned()],
            network_drivers: NETWORK_DRIVERS.map(str::to_owned).to_vec(),
            cgroup_driver: "cgroupfs".to_owned(),
            os_version: info.os_version,
            system_time: Some(SystemTime::now().into()),
            registry_mirrors: config.registry_mirrors.clone(),
            n_file_descriptors: count(info.n_file_descriptors),
            n_threads: count(info.n_threads),
            n_event_listeners: count(info.n_event_listeners),
            kernel_features: Some(features(info.kernel_features)),
        }))
    }

    async fn disk_usage(
        &self,
        _request: Request<v1::DiskUsageRequest>,
    ) -> Result<Response<v1::DiskUsageResponse>, Status> {
        let engine = Arc::clone(&self.engine);
        let usage = blocking(move || engine.disk_usage())
            .await?
            .map_err(|e| status::of(&e))?;
        let images = usage.images.iter().map(|found| v1::Image {
            shared_size_bytes: Some(found.shared_size),
            ..images::message(&self.engine, &found.image)
        });
        let volumes = usage.volumes.into_iter().map(|found| v1::VolumeUsage {
            volume: Some(volumes::message(found.volume)),
            size_bytes: found.size,
            containers: u32::try_from(found.n_users).unwrap_or(u32::MAX),
        });
        Ok(Response::new(v1::DiskUsageResponse {
            layers_size_bytes: usage.layers_size,
            images: images.collect(),
            containers: usage.containers.into_iter().map(convert::summary).collect(),
            volumes: volumes.collect(),
        }))
    }

    type EventsStream = BoxStream<'static, Result<v1::Event, Status>>;

    async fn events(
        &self,
        request: Request<v1::EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        let stream = events::events(&self.engine, request.into_inner())?;
        Ok(Response::new(stream.boxed()))
    }
}

fn pair((name, value): (String, String)) -> v1::InfoPair {
    v1::InfoPair { name, value }
}

fn features(features: KernelFeatures) -> v1::KernelFeatures {
    v1::KernelFeatures {
        memory: features.memory,
        swap: features.swap,
        pids: features.pids,
        cpu_shares: features.cpu_shares,
        cpu_quota: features.cpu_quota,
        cpuset: features.cpuset,
        oom_kill_disable: features.oom_kill_disable,
        ipv4_forwarding: features.ipv4_forwarding,
    }
}
