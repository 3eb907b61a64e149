//! The flags that `run` and `create` share, a file a subject: what they are called, and where the
//! agent finds what they say. Checked here is what Docker's client checks; the rest is the agent's.

mod health;
mod isolation;
pub(super) mod limits;
mod logging;
mod network;
mod process;
mod storage;

use std::path::PathBuf;

use berth_proto::v1::{ContainerConfig, HostConfig};

use self::health::HealthOptions;
use self::isolation::IsolationOptions;
use self::limits::LimitOptions;
use self::logging::LogOptions;
use self::network::NetworkOptions;
use self::process::ProcessOptions;
use self::storage::StorageOptions;
use crate::commands::image::transfer::PullPolicy;
use crate::failure::Failure;
use crate::spec::{env, map, restart};

pub(super) use self::process::Attached;

/// Flags of a new container.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ContainerOptions {
    /// Name of the container; a random one if not given
    #[arg(long)]
    pub(super) name: Option<String>,

    #[command(flatten)]
    pub(super) process: ProcessOptions,

    /// Remove the container and its anonymous volumes when it ends
    #[arg(long)]
    pub(super) rm: bool,

    /// When it is started again by itself: no, on-failure[:TRIES], always or unless-stopped
    #[arg(long, value_name = "POLICY")]
    restart: Option<String>,

    /// Set a label
    #[arg(long, short, value_name = "NAME[=VALUE]", value_parser = env::label)]
    label: Vec<String>,

    /// Set the labels of a file
    #[arg(long, value_name = "FILE")]
    label_file: Vec<PathBuf>,

    /// Set an annotation for the OCI runtime
    #[arg(long, value_name = "NAME=VALUE")]
    annotation: Vec<String>,

    /// Write the container's id to a file, which must not exist
    #[arg(long, value_name = "FILE")]
    pub(super) cidfile: Option<PathBuf>,

    /// When to pull the image: always, missing or never [default: missing]
    #[arg(long, value_name = "WHEN")]
    pull: Option<String>,

    /// Do not show the progress of a pull
    #[arg(long, short)]
    pub(super) quiet: bool,

    /// Platform of the image, such as linux/arm64
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub(super) platform: Option<String>,

    /// Taken for old scripts: images are not signed
    #[arg(long, hide = true)]
    disable_content_trust: bool,

    #[command(flatten)]
    network: NetworkOptions,

    #[command(flatten)]
    storage: StorageOptions,

    #[command(flatten)]
    limits: LimitOptions,

    #[command(flatten)]
    isolation: IsolationOptions,

    #[command(flatten)]
    health: HealthOptions,

    #[command(flatten)]
    logging: LogOptions,
}

// === impl ContainerOptions ===

impl ContainerOptions {
    /// Makes the container's configuration of all flags.
    ///
    /// `attached` is what the command is going to be attached to.
    pub(super) fn config(&self, attached: Attached) -> Result<ContainerConfig, Failure> {
        let mut config = ContainerConfig::default();
        let mut host = HostConfig::default();
        self.process.apply(attached, &mut config, &mut host)?;
        self.network.apply(&mut config, &mut host)?;
        self.storage.apply(&mut config, &mut host)?;
        self.limits.apply(&mut host)?;
        self.isolation.apply(&mut host)?;
        self.health.apply(&mut config)?;
        self.logging.apply(&mut host)?;
        self.lifecycle(&mut host)?;
        let labels = env::labels(&self.label_file, &self.label);
        config.labels = labels
            .map_err(|error| Failure::because(&error))?
            .into_iter()
            .collect();
        config.host = Some(host);
        Ok(config)
    }

    /// When the image is pulled.
    pub(super) fn pull(&self) -> Result<PullPolicy, Failure> {
        let policy = self.pull.as_deref().unwrap_or_default();
        policy
            .parse()
            .map_err(|problem: String| Failure::new(problem))
    }

    fn lifecycle(&self, host: &mut HostConfig) -> Result<(), Failure> {
        let policy = self.restart.as_deref().unwrap_or_default();
        let policy = restart::parse(policy).map_err(Failure::new)?;
        if self.rm && policy.as_ref().is_some_and(|policy| policy.name != "no") {
            return Err(Failure::new(
                "conflicting options: cannot specify both --restart and --rm",
            ));
        }
        host.restart_policy = policy;
        host.auto_remove = self.rm;
        host.annotations = map::pairs(&self.annotation).collect();
        if let Some(path) = &self.cidfile {
            host.container_id_file = path.display().to_string();
        }
        Ok(())
    }
}
