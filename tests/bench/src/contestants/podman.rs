//! podman, with files and a network namespace of its own. It has no daemon.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Contestant;
use crate::fixture::SMALL;
use crate::memory;
use crate::namespace::Namespace;
use crate::registry::{self, PORT};
use crate::shell::{Daemon, output};

/// podman's settings, and a registry on the loopback of its namespace.
#[derive(Debug)]
pub(crate) struct Podman {
    home: PathBuf,
    _registry: Daemon,
    namespace: Namespace,
}

// === impl Podman ===

impl Podman {
    /// Writes its settings and makes its namespace.
    ///
    /// # Errors
    /// When podman does not work with them.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let home = folder.join("podman");
        std::fs::create_dir_all(&home)?;
        let namespace = Namespace::make("berth-bench-podman")?;
        let config = registry::write_config(folder)?;
        let registry = namespace.inside(|| {
            let log = home.join("registry.log");
            Daemon::start(
                Command::new("docker-registry").args(["serve", &config]),
                &log,
            )
        })??;
        let podman = Self {
            home,
            _registry: registry,
            namespace,
        };
        podman.write_settings("crun")?;
        let this: &dyn Contestant = &podman;
        this.output(&["info"])?;
        Ok(podman)
    }

    /// Takes the quicker of the runtimes that podman has, which does not work on every host.
    ///
    /// # Errors
    /// When neither works; the small image has to be there.
    pub(crate) fn choose_runtime(&self) -> Result<()> {
        let this: &dyn Contestant = self;
        let probe = || this.output(&["run", "--rm", SMALL, "true"]);
        if probe().is_err() {
            self.write_settings("runc")?;
            probe().context("podman starts no container")?;
        }
        Ok(())
    }

    /// Removes what a killed bench has left running.
    pub(crate) fn clear(folder: &Path) {
        let home = folder.join("podman");
        if home.join("storage.conf").exists() {
            // Best effort: mounts that stay are detached by the caller.
            drop(output(
                with_settings(&home).args(["rm", "-f", "-a", "-t", "0"]),
            ));
        }
    }

    fn write_settings(&self, runtime: &str) -> Result<()> {
        let home = self.home.display();
        let storage = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{home}/graph\"\nrunroot = \"{home}/run\"\n"
        );
        // Its own limits are above what a host may give; it does not try less by itself.
        let containers = format!(
            "[containers]\ndefault_ulimits = [\"nofile=1024:4096\", \"nproc=4096:4096\"]\n\
             [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
             tmp_dir = \"{home}/tmp\"\nruntime = \"{runtime}\"\n\
             [network]\nnetwork_backend = \"netavark\"\nnetwork_config_dir = \"{home}/networks\"\n"
        );
        let registries =
            format!("[[registry]]\nlocation = \"localhost:{PORT}\"\ninsecure = true\n");
        std::fs::write(self.home.join("storage.conf"), storage)?;
        std::fs::write(self.home.join("containers.conf"), containers)?;
        std::fs::write(self.home.join("registries.conf"), registries)?;
        Ok(())
    }

    /// Returns the processes that keep its containers.
    fn keepers(&self) -> Vec<u32> {
        let home = self.home.display().to_string();
        memory::processes_named("conmon")
            .into_iter()
            .filter(|pid| memory::words_of(*pid).contains(&home))
            .collect()
    }
}

impl Contestant for Podman {
    fn name(&self) -> &'static str {
        "podman"
    }

    fn command(&self) -> Command {
        with_settings(&self.home)
    }

    fn namespace(&self) -> Option<&Namespace> {
        Some(&self.namespace)
    }

    fn address(&self) -> &'static str {
        "127.0.0.1"
    }

    fn memory_of_keepers(&self) -> Result<f64> {
        self.keepers().into_iter().map(memory::proportional).sum()
    }

    fn memory_of_one_keeper(&self) -> Result<f64> {
        let newest = self.keepers().into_iter().max();
        memory::private(newest.context("no conmon runs")?)
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let this: &dyn Contestant = self;
        // Best effort. Its folder is a mount until somebody takes that away.
        drop(this.output(&["rm", "-f", "-a", "-t", "0"]));
        drop(output(
            Command::new("umount").arg(self.home.join("graph/overlay")),
        ));
    }
}

fn with_settings(home: &Path) -> Command {
    let mut command = Command::new("podman");
    command
        .env("CONTAINERS_STORAGE_CONF", home.join("storage.conf"))
        .env("CONTAINERS_CONF", home.join("containers.conf"))
        .env("CONTAINERS_REGISTRIES_CONF", home.join("registries.conf"));
    command
}
