//! A real dockerd in a network namespace of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Contestant;
use crate::memory;
use crate::namespace::Namespace;
use crate::registry;
use crate::shell::{Daemon, output, wait_until};

/// The daemon and what it stands on; dropped in this order.
#[derive(Debug)]
pub(crate) struct Docker {
    daemon: Daemon,
    home: PathBuf,
    _registry: Daemon,
    namespace: Namespace,
}

// === impl Docker ===

impl Docker {
    /// Starts the daemon, and a registry on its loopback.
    ///
    /// # Errors
    /// When the namespace, the daemon or the registry does not come up.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let home = folder.join("docker");
        std::fs::create_dir_all(&home)?;
        let namespace = Namespace::make("berth-bench-docker")?;
        let config = registry::write_config(folder)?;
        let (registry, daemon) = namespace.inside(|| -> Result<_> {
            let log = home.join("registry.log");
            let registry = Daemon::start(
                Command::new("docker-registry").args(["serve", &config]),
                &log,
            )?;
            Ok((registry, Self::start_daemon(&home)?))
        })??;
        let docker = Self {
            daemon,
            home,
            _registry: registry,
            namespace,
        };
        wait_until("dockerd answers", || {
            output(docker.command().arg("version")).is_ok()
        })?;
        Ok(docker)
    }

    fn start_daemon(home: &Path) -> Result<Daemon> {
        Daemon::start(
            Command::new("dockerd")
                .arg("--data-root")
                .arg(home.join("data"))
                .arg("--exec-root")
                .arg(home.join("exec"))
                .arg("--pidfile")
                .arg(home.join("docker.pid"))
                .arg(format!(
                    "--host=unix://{}",
                    home.join("docker.sock").display()
                )),
            &home.join("dockerd.log"),
        )
    }

    /// Returns dockerd, and the processes of its own containerd that name the daemon's folder.
    fn keepers(&self) -> Result<Vec<u32>> {
        let _running = &self.daemon;
        let text = std::fs::read_to_string(self.home.join("docker.pid"))?;
        let daemon: u32 = text.trim().parse()?;
        let mut keepers = vec![daemon];
        keepers.extend(self.shims());
        for name in ["containerd", "docker-proxy"] {
            let children = memory::processes_named(name)
                .into_iter()
                .filter(|pid| memory::parent_of(*pid) == Some(daemon));
            keepers.extend(children);
        }
        Ok(keepers)
    }

    fn shims(&self) -> Vec<u32> {
        let home = self.home.display().to_string();
        // The name as the kernel cuts it.
        memory::processes_named("containerd-shim")
            .into_iter()
            .filter(|pid| memory::words_of(*pid).contains(&home))
            .collect()
    }
}

impl Contestant for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn command(&self) -> Command {
        let socket = self.home.join("docker.sock");
        let mut command = Command::new("docker");
        command
            .env_remove("DOCKER_TLS_VERIFY")
            .env_remove("DOCKER_CERT_PATH")
            .env("DOCKER_BUILDKIT", "0")
            .env("DOCKER_HOST", format!("unix://{}", socket.display()));
        command
    }

    fn namespace(&self) -> Option<&Namespace> {
        Some(&self.namespace)
    }

    fn address(&self) -> &'static str {
        "127.0.0.1"
    }

    fn memory_of_keepers(&self) -> Result<f64> {
        self.keepers()?.into_iter().map(memory::proportional).sum()
    }

    fn memory_of_one_keeper(&self) -> Result<f64> {
        let newest = self.shims().into_iter().max();
        memory::private(newest.context("no containerd-shim runs")?)
    }
}
