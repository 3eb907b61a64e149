//! The engine that a command speaks to: which machine is meant, and the way to it.

use std::path::PathBuf;

use berth_controller_fleet::Fleet;
use berth_proto::MAX_MESSAGE_BYTES;
use berth_proto::v1::build_service_client::BuildServiceClient;
use berth_proto::v1::container_service_client::ContainerServiceClient;
use berth_proto::v1::file_service_client::FileServiceClient;
use berth_proto::v1::image_service_client::ImageServiceClient;
use berth_proto::v1::network_service_client::NetworkServiceClient;
use berth_proto::v1::system_service_client::SystemServiceClient;
use berth_proto::v1::volume_service_client::VolumeServiceClient;
use berth_provisioners_api::Registry;
use tonic::transport::{Channel, Endpoint};

use crate::failure::{Failure, speaking_to};
use crate::plugins;
use crate::ui::progress::MachineSteps;

/// Machine that is meant when none is named.
pub(crate) const DEFAULT_MACHINE: &str = "default";

/// Options that every command has.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Global {
    /// Machine to work on [default: the only one, or the one named "default"]
    #[arg(
        long,
        short = 'M',
        global = true,
        value_name = "NAME",
        env = "BERTH_MACHINE"
    )]
    #[arg(hide_env = true, help_heading = "Global options")]
    pub(crate) machine: Option<String>,

    /// Engine on this host instead of a machine's: unix:///run/berth/berthd.sock
    #[arg(long, global = true, value_name = "ADDRESS", env = "BERTH_HOST")]
    #[arg(hide_env = true, help_heading = "Global options")]
    pub(crate) host: Option<String>,

    /// Folder with machines and certificates [default: ~/.docker/machine]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        help_heading = "Global options"
    )]
    pub(crate) storage_path: Option<PathBuf>,

    /// Tell what is done, on standard error
    #[arg(long, short = 'D', global = true, help_heading = "Global options")]
    pub(crate) debug: bool,
}

/// A connected engine.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    channel: Channel,
    /// The machine's name; empty for an engine on this host.
    pub(crate) machine: String,
}

// === impl Global ===

impl Global {
    /// The machines of the store.
    pub(crate) fn fleet(&self) -> Result<Fleet, Failure> {
        Fleet::open(&self.store_root()?, drivers()).map_err(|error| {
            Failure::because(&error).hint("--storage-path chooses another folder for machines")
        })
    }

    fn store_root(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.storage_path {
            return Ok(path.clone());
        }
        for variable in ["BERTH_STORAGE_PATH", "MACHINE_STORAGE_PATH"] {
            if let Some(path) = set(variable) {
                return Ok(PathBuf::from(path));
            }
        }
        let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
        home.map(|home| home.join(".docker/machine"))
            .ok_or_else(|| {
                Failure::new("there is no home folder to keep machines in")
                    .hint("set HOME or BERTH_STORAGE_PATH")
            })
    }

    /// The machine that is meant.
    pub(crate) fn choose(&self, fleet: &Fleet) -> Result<String, Failure> {
        let named = self.machine.clone().filter(|name| !name.is_empty());
        if let Some(name) = named.or_else(|| set("DOCKER_MACHINE_NAME")) {
            return Ok(name);
        }
        let mut names = fleet.names().map_err(|error| Failure::because(&error))?;
        if names.iter().any(|name| name == DEFAULT_MACHINE) {
            return Ok(DEFAULT_MACHINE.to_owned());
        }
        match names.len() {
            0 => Err(Failure::new("there is no machine yet")
                .hint("`berth machine create NAME` makes one")),
            1 => Ok(names.remove(0)),
            _ => Err(
                Failure::new("several machines exist, and none was named").hint(format!(
                    "choose with --machine or BERTH_MACHINE: {}",
                    names.join(", ")
                )),
            ),
        }
    }

    /// Connects to the engine that is meant.
    pub(crate) async fn engine(&self) -> Result<Engine, Failure> {
        if let Some(host) = self.host.as_deref().filter(|host| !host.is_empty()) {
            return local(host).await;
        }
        let fleet = self.fleet()?;
        let machine = self.choose(&fleet)?;
        let agent = fleet
            .agent(&machine, &MachineSteps::quiet())
            .await
            .map_err(|error| {
                let failure = Failure::because(&error);
                match error.hint() {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                }
            })?;
        speaking_to(&agent);
        Ok(Engine {
            channel: agent.channel(),
            machine,
        })
    }
}

/// The drivers of this berth.
pub(crate) fn drivers() -> Registry {
    plugins::embedded().with_fallback(plugins::found(plugins::note))
}

/// A variable of the environment that is set to something.
pub(crate) fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

async fn local(host: &str) -> Result<Engine, Failure> {
    if !host.starts_with("unix:") {
        return Err(
            Failure::new(format!("engine address {host:?} is not a unix socket"))
                .hint("write unix:///run/berth/berthd.sock, or name a machine with --machine"),
        );
    }
    let endpoint = Endpoint::from_shared(host.to_owned())
        .map_err(|error| Failure::during(&format!("engine address {host:?}"), &error))?;
    let channel = endpoint.connect().await.map_err(|error| {
        Failure::during(&format!("engine at {host} does not answer"), &error)
            .hint("is berthd running here?")
    })?;
    Ok(Engine {
        channel,
        machine: String::new(),
    })
}

// === impl Engine ===

impl Engine {
    pub(crate) fn system(&self) -> SystemServiceClient<Channel> {
        SystemServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    pub(crate) fn containers(&self) -> ContainerServiceClient<Channel> {
        ContainerServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    pub(crate) fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    pub(crate) fn volumes(&self) -> VolumeServiceClient<Channel> {
        VolumeServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    pub(crate) fn networks(&self) -> NetworkServiceClient<Channel> {
        NetworkServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    pub(crate) fn files(&self) -> FileServiceClient<Channel> {
        FileServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    pub(crate) fn builds(&self) -> BuildServiceClient<Channel> {
        BuildServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }
}
