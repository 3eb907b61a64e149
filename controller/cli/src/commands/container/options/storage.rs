//! Flags about files.

use berth_proto::v1::{ContainerConfig, HostConfig, Mount};

use crate::failure::Failure;
use crate::spec::{map, memory, mount, volume};
use crate::ui;

/// Flags about files.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct StorageOptions {
    /// Mount a volume or a path of the machine
    #[arg(long, short, value_name = "[SOURCE:]TARGET[:OPTIONS]")]
    volume: Vec<String>,

    /// Mount by names: type=bind|volume|tmpfs,source=…,target=…,readonly,…
    #[arg(long, value_name = "MOUNT", value_parser = mount::parse)]
    mount: Vec<Mount>,

    /// Mount the volumes of another container: NAME[:ro|rw]
    #[arg(long, value_name = "CONTAINER")]
    volumes_from: Vec<String>,

    /// Mount a file system in memory
    #[arg(long, value_name = "TARGET[:OPTIONS]")]
    tmpfs: Vec<String>,

    /// Make the root file system read-only
    #[arg(long)]
    read_only: bool,

    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES", value_parser = memory::limit)]
    shm_size: Option<i64>,

    /// Driver of the volumes that -v makes
    #[arg(long, value_name = "NAME", hide = true)]
    volume_driver: Option<String>,

    /// Option of the file system driver
    #[arg(long, value_name = "NAME=VALUE", hide = true)]
    storage_opt: Vec<String>,
}

// === impl StorageOptions ===

impl StorageOptions {
    /// Puts what the flags say where the agent looks for it.
    pub(crate) fn apply(
        &self,
        config: &mut ContainerConfig,
        host: &mut HostConfig,
    ) -> Result<(), Failure> {
        for text in &self.volume {
            match volume::parse(text).map_err(Failure::new)? {
                volume::Volume::Anonymous(target) => config.volumes.push(target),
                volume::Volume::Bind(bind) => host.binds.push(bind),
            }
        }
        if !self.mount.is_empty() && self.volume_driver.is_some() {
            ui::warn(
                "`--volume-driver` is ignored for volumes specified via `--mount`. Use \
                 `--mount type=volume,volume-driver=...` instead.",
            );
        }
        host.mounts.clone_from(&self.mount);
        host.volumes_from.clone_from(&self.volumes_from);
        host.tmpfs.clone_from(&self.tmpfs);
        host.read_only_rootfs = self.read_only;
        host.shm_size_bytes = self.shm_size.unwrap_or(0);
        host.volume_driver = self.volume_driver.clone().unwrap_or_default();
        if self.storage_opt.iter().any(|option| !option.contains('=')) {
            return Err(Failure::new("invalid storage option"));
        }
        host.storage_opt = map::pairs(&self.storage_opt).collect();
        Ok(())
    }
}
