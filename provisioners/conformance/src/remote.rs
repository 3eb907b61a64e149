//! Commands on a machine, by OpenSSH's client: a peer that is not ours.

use std::fs;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use berth_provisioners_api::SshEndpoint;
use tempfile::NamedTempFile;
use tokio::process::Command;

/// How long a machine may take until its SSH server answers; some boot whole systems.
const PATIENCE: Duration = Duration::from_secs(180);
/// The client's own word for "no connection".
const NO_CONNECTION: i32 = 255;

/// A machine that takes SSH connections.
#[derive(Debug)]
pub struct Remote {
    endpoint: SshEndpoint,
}

impl Remote {
    /// Returns the machine at `endpoint`.
    #[must_use]
    pub fn new(endpoint: SshEndpoint) -> Self {
        Self { endpoint }
    }

    /// Runs a command for the shell and returns what it printed; tries again while nobody answers.
    ///
    /// # Errors
    ///
    /// When the machine cannot be reached, its host key is not the expected one, or the command
    /// fails.
    pub async fn run(&self, command: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self.attempt(command).await?;
            if output.status.success() {
                return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
            }
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(
                !said.contains("HOST IDENTIFICATION HAS CHANGED")
                    && !said.contains("Host key verification failed"),
                "host key of {} is not the expected one",
                self.endpoint.host
            );
            let unreachable = output.status.code() == Some(NO_CONNECTION);
            if !unreachable || Instant::now() > deadline {
                bail!("{command:?} on {} failed: {said}", self.endpoint.host);
            }
        }
    }

    /// Runs a command once, whatever comes of it.
    ///
    /// # Errors
    ///
    /// When the client cannot be run.
    pub async fn attempt(&self, command: &str) -> Result<Output> {
        let known_hosts = NamedTempFile::new().context("cannot make a file of known hosts")?;
        let mut strict = "accept-new";
        if let Some(key) = &self.endpoint.host_key {
            let name = match self.endpoint.port {
                22 => self.endpoint.host.clone(),
                port => format!("[{}]:{port}", self.endpoint.host),
            };
            fs::write(known_hosts.path(), format!("{name} {key}\n"))?;
            strict = "yes";
        }
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=5",
        ])
        .arg("-o")
        .arg(format!(
            "UserKnownHostsFile={}",
            known_hosts.path().display()
        ))
        .args(["-o", "GlobalKnownHostsFile=/dev/null"])
        .arg("-o")
        .arg(format!("StrictHostKeyChecking={strict}"))
        .args(["-p", &self.endpoint.port.to_string()]);
        if let Some(key) = &self.endpoint.key {
            ssh.args(["-o", "IdentitiesOnly=yes", "-i"]).arg(key);
        }
        ssh.arg(format!("{}@{}", self.endpoint.user, self.endpoint.host))
            .arg("--")
            .arg(command)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("cannot run ssh; install package openssh-client")
    }
}
