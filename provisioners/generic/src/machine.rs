//! One host that exists.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use berth_provisioners_api::{
    BaseConfig, DEFAULT_ENGINE_PORT, DEFAULT_SSH_PORT, DriverError, Journal, Machine, MachineState,
    Restart, SshEndpoint,
};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::driver::{Dial, NAME};

/// How long the SSH port may take to answer before the host counts as stopped. Less than the
/// time that `ls` gives a machine.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// The `Driver` object of `config.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct GenericConfig {
    #[serde(flatten)]
    pub(crate) base: BaseConfig,
    #[serde(rename = "EnginePort")]
    pub(crate) engine_port: u16,
    /// The operator's key that the copy was made of.
    #[serde(rename = "SSHKey")]
    pub(crate) ssh_key: String,
    #[serde(flatten)]
    pub(crate) unknown: Map<String, Value>,
}

/// One host that exists.
pub(crate) struct GenericMachine {
    config: GenericConfig,
    dial: Option<Dial>,
}

impl fmt::Debug for GenericMachine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("GenericMachine")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl GenericMachine {
    pub(crate) fn new(config: GenericConfig, dial: Option<Dial>) -> Self {
        Self { config, dial }
    }

    fn ssh_port(&self) -> u16 {
        match self.config.base.ssh_port {
            0 => DEFAULT_SSH_PORT,
            port => port,
        }
    }

    fn unsupported(operation: &str) -> DriverError {
        DriverError::Unsupported {
            driver: NAME.to_owned(),
            operation: operation.to_owned(),
            hint: None,
        }
        .with_hint("do it on the host itself")
    }
}

#[async_trait]
impl Machine for GenericMachine {
    fn config(&self) -> Value {
        serde_json::to_value(&self.config).unwrap_or_default()
    }

    async fn pre_create_check(&self) -> Result<(), DriverError> {
        let key = &self.config.ssh_key;
        if key.is_empty() {
            return Ok(());
        }
        fs::File::open(key).map(drop).map_err(|source| {
            DriverError::failed(format!("cannot read private key {key}"), source)
                .with_hint("name the key of the host's user with --generic-ssh-key")
        })
    }

    async fn create(&mut self, journal: &dyn Journal) -> Result<(), DriverError> {
        if self.config.ssh_key.is_empty() {
            journal.say("No SSH key specified; using the default keys and agent");
            return Ok(());
        }
        journal.step("ssh-key", &self.config())?;
        let (from, to) = (&self.config.ssh_key, &self.config.base.ssh_key_path);
        copy_private(Path::new(from), Path::new(to)).map_err(|source| {
            DriverError::failed(format!("cannot copy private key {from}"), source)
        })?;
        // The public half is for people, and the certificate for hosts that want one: without them
        // nothing is missing.
        for end in [".pub", "-cert.pub"] {
            let beside = |path: &str| PathBuf::from(format!("{path}{end}"));
            match copy_private(&beside(from), &beside(to)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    journal.say(&format!("Cannot copy {from}{end}: {error}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn state(&self) -> Result<MachineState, DriverError> {
        let (host, port) = (self.config.base.ip_address.clone(), self.ssh_port());
        let dialling = async {
            match &self.dial {
                Some(dial) => dial(host, port).await,
                None => reach(&host, port).await,
            }
        };
        Ok(match timeout(DIAL_TIMEOUT, dialling).await {
            Ok(Ok(())) => MachineState::Running,
            Ok(Err(_)) | Err(_) => MachineState::Stopped,
        })
    }

    async fn start(&mut self) -> Result<(), DriverError> {
        match self.state().await? {
            MachineState::Running => Ok(()),
            _ => Err(Self::unsupported("be started")),
        }
    }

    async fn stop(&mut self) -> Result<(), DriverError> {
        Err(Self::unsupported("be stopped"))
    }

    async fn restart(&mut self) -> Result<Restart, DriverError> {
        Ok(Restart::AskHost)
    }

    async fn kill(&mut self) -> Result<(), DriverError> {
        Err(Self::unsupported("be killed"))
    }

    async fn remove(&mut self) -> Result<(), DriverError> {
        Ok(())
    }

    async fn ip(&self) -> Result<String, DriverError> {
        if self.config.base.ip_address.is_empty() {
            return Err(DriverError::refused("the host's address is not on record"));
        }
        Ok(self.config.base.ip_address.clone())
    }

    async fn ssh_endpoint(&self) -> Result<SshEndpoint, DriverError> {
        let base = &self.config.base;
        let key = Some(base.ssh_key_path.as_str()).filter(|path| !path.is_empty());
        let user = if base.ssh_user.is_empty() {
            "root"
        } else {
            &base.ssh_user
        };
        Ok(SshEndpoint {
            host: self.ip().await?,
            port: self.ssh_port(),
            user: user.to_owned(),
            key: key.map(PathBuf::from),
            host_key: None,
        })
    }

    fn was_there_before(&self) -> bool {
        true
    }

    fn engine_port(&self) -> u16 {
        match self.config.engine_port {
            0 => DEFAULT_ENGINE_PORT,
            port => port,
        }
    }
}

/// Connects to any of the host's addresses: one that is silent does not hide another that answers.
async fn reach(host: &str, port: u16) -> io::Result<()> {
    let addresses: Vec<_> = lookup_host((host, port)).await?.collect();
    let mut dialling: FuturesUnordered<_> = addresses.into_iter().map(TcpStream::connect).collect();
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    while let Some(dialled) = dialling.next().await {
        match dialled {
            Ok(_stream) => return Ok(()),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Copies a file to one that only its owner may read, through a name of its own, so that no half
/// of it is ever there.
fn copy_private(from: &Path, to: &Path) -> io::Result<()> {
    let content = fs::read(from)?;
    // The name's end is part of it: a key, its public half and its certificate differ only there.
    let mut name = to.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(&content)?;
    file.sync_all()?;
    fs::rename(&temporary, to)
}
