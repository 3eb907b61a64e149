//! A real dockerd in a network namespace of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::registry;
use crate::shell::{Daemon, output, wait_until};

const NAMESPACE: &str = "berth-bench-docker";

/// The daemon and what it stands on; dropped in this order.
#[derive(Debug)]
pub(crate) struct Docker {
    daemon: Daemon,
    socket: PathBuf,
    pid_file: PathBuf,
    _registry: Daemon,
    _namespace: Namespace,
}

#[derive(Debug)]
struct Namespace;

// === impl Docker ===

impl Docker {
    /// Starts the daemon, and a registry on its loopback.
    ///
    /// # Errors
    /// When the namespace, the daemon or the registry does not come up.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let home = folder.join("docker");
        std::fs::create_dir_all(&home)?;
        let namespace = Namespace::make()?;
        let registry = Daemon::start(
            &mut inside(&["docker-registry", "serve", &registry::write_config(folder)?]),
            &home.join("registry.log"),
        )?;
        let socket = home.join("docker.sock");
        let pid_file = home.join("docker.pid");
        let daemon = Daemon::start(
            inside(&["dockerd"])
                .arg("--data-root")
                .arg(home.join("data"))
                .arg("--exec-root")
                .arg(home.join("exec"))
                .arg("--pidfile")
                .arg(&pid_file)
                .arg(format!("--host=unix://{}", socket.display())),
            &home.join("dockerd.log"),
        )?;
        let docker = Self {
            daemon,
            socket,
            pid_file,
            _registry: registry,
            _namespace: namespace,
        };
        wait_until("dockerd answers", || {
            output(docker.command().arg("version").by_ref()).is_ok()
        })?;
        Ok(docker)
    }

    /// Returns the docker CLI, pointed at this daemon.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("docker");
        command
            .env_remove("DOCKER_TLS_VERIFY")
            .env_remove("DOCKER_CERT_PATH")
            .env("DOCKER_BUILDKIT", "0")
            .env("DOCKER_HOST", format!("unix://{}", self.socket.display()));
        command
    }

    /// Returns the process id of dockerd.
    ///
    /// # Errors
    /// When its pid file cannot be read.
    pub(crate) fn pid(&self) -> Result<u32> {
        let _running = &self.daemon;
        Ok(std::fs::read_to_string(&self.pid_file)?.trim().parse()?)
    }
}

/// A way to write `Command::new(..).arg(..)` into a call that wants a `&mut Command`.
trait ByRef {
    fn by_ref(&mut self) -> &mut Self;
}

impl ByRef for Command {
    fn by_ref(&mut self) -> &mut Self {
        self
    }
}

fn inside(words: &[&str]) -> Command {
    // Not `ip netns exec`, which hides the control groups behind a /sys of its own.
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net=/run/netns/{NAMESPACE}"))
        .args(words);
    command
}

// === impl Namespace ===

impl Namespace {
    fn make() -> Result<Self> {
        // Left over by a killed bench.
        drop(output(
            Command::new("ip").args(["netns", "delete", NAMESPACE]),
        ));
        output(Command::new("ip").args(["netns", "add", NAMESPACE]))?;
        let namespace = Self;
        output(inside(&["ip", "link", "set", "lo", "up"]).by_ref())?;
        Ok(namespace)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Best effort: the next bench tries again.
        drop(output(
            Command::new("ip").args(["netns", "delete", NAMESPACE]),
        ));
    }
}
