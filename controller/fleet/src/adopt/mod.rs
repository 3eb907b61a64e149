//! Taking over a host whose agent runs already, without touching what runs there.
//!
//! The host is reached by SSH, as any machine is. Its agent gets this operator's authority beside
//! those that it trusts, and reads its trust anew; its certificate, and with it the way of those who
//! use the machine already, stays. Only when it shall be exclusive it gets a certificate of this
//! operator's and forgets the others.

mod error;
mod look;
mod trust;

use std::path::PathBuf;
use std::time::Duration;

use berth_controller_client::{Identity, Target, Tunnel, connect};
use berth_controller_ssh::{Config, Endpoint, HostKey, HostKeyPolicy, Session};
use berth_controller_store::{
    AgentRecord, HostConfig, MachineName, MachineRecord, SideRecord, Staging,
};
use berth_provisioners_api::{
    FlagValue, FlagValues, Journal, JournalError, Machine, MachineContext,
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use self::look::{Found, look};
use self::trust::Trust;
use crate::agent::AGENT_SOCKET;
use crate::host::Host;
use crate::share::record::GENERIC;
use crate::ssh::ssh_endpoint;
use crate::{Fleet, MachineError, Progress, certificates};

pub use error::AdoptError;

/// How long SSH may take to let us in.
const SSH_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the agent may take to read its trust anew and to answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);
/// How long to wait before it is asked again.
const ANSWER_PAUSE: Duration = Duration::from_millis(50);

/// Which host to take over, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdoptRequest {
    /// The machine's name here; the host's own name when there is none.
    pub name: Option<String>,
    /// The host's name or address, without brackets.
    pub host: String,
    /// Whom to log in as.
    pub user: String,
    /// The port of its SSH server.
    pub port: u16,
    /// The private key; the operator's default keys and agent when there is none.
    pub key: Option<PathBuf>,
    /// The port by which the agent is reached, when it is not the one that it listens on.
    pub engine_port: Option<u16>,
    /// The host's key in OpenSSH's form, if it is known beforehand.
    pub host_key: Option<String>,
    /// Whether to shut out everybody else who uses the machine.
    pub exclusive: bool,
}

/// What was taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The machine's name.
    pub name: String,
    /// The agent's version.
    pub version: String,
    /// How many other authorities the agent trusts.
    pub shared_with: usize,
    /// The fingerprint of the host's key.
    pub host_key: String,
}

/// Passes on what a driver says; nothing is made that would have to be found again.
struct NoJournal<'a> {
    name: &'a str,
    progress: &'a dyn Progress,
}

impl Journal for NoJournal<'_> {
    fn step(&self, _step: &str, _config: &Value) -> Result<(), JournalError> {
        Ok(())
    }

    fn say(&self, message: &str) {
        self.progress.step(self.name, message);
    }
}

impl Fleet {
    /// Takes over a host whose agent runs already. Containers, and unless it shall be exclusive
    /// also the connections of others, go on undisturbed.
    ///
    /// # Errors
    ///
    /// When the host cannot be reached or has no agent, or the agent does not answer afterwards.
    pub async fn adopt(
        &self,
        request: &AdoptRequest,
        progress: &dyn Progress,
    ) -> Result<Adopted, AdoptError> {
        if let Some(name) = &request.name {
            self.require_free(&name.parse().map_err(MachineError::from)?)?;
        }
        let staged = self.store.stage()?;
        let told = request.name.as_deref().unwrap_or(&request.host);
        progress.step(told, "Logging in");
        let machine = self.generic(request, &staged, told, progress).await?;
        let endpoint = endpoint(request, &*machine).await?;
        let session = login(request, &endpoint).await?;
        let host = Host::look(&session, told, &self.sudo).await?;
        let found = look(&host, &request.host).await?;
        let name: MachineName = match &request.name {
            Some(name) => name.parse(),
            None => found.hostname.parse(),
        }
        .map_err(MachineError::from)?;
        let mut lock = self.store.lock_machine(&name)?;
        let done = async {
            self.require_free(&name)?;
            let authority = certificates::authority(&self.store)?;
            let trust = Trust::new(&name, (&authority, &self.store), &found, request)?;
            let port = request.engine_port.unwrap_or(found.port);
            let mut record = self.adopted(&name, &*machine, &staged, (&found, &trust), port);
            record.side.host_key = Some(session.host_key().to_openssh());
            // A store that cannot be written is noticed while the host is as it was: keys that
            // its agent is given must not be lost.
            trust.write(&self.store, &staged)?;
            staged.prepare(&self.store, &record)?;
            progress.step(name.as_str(), "Making the agent trust this operator");
            host.run("changing whom the agent trusts", &trust.script())
                .await?;
            progress.step(name.as_str(), "Checking connection to the agent");
            let tunnel = tunnel(endpoint, &session);
            let agent = answer(&staged, &trust, (&request.host, port), tunnel).await?;
            let version = agent.version.clone();
            record.side.agent = Some(agent);
            staged.commit(&self.store, &record)?;
            Ok(Adopted {
                name: name.to_string(),
                version,
                shared_with: trust.others.len(),
                host_key: session.host_key().fingerprint(),
            })
        }
        .await;
        if done.is_err() && !self.store.exists(&name) {
            lock.retire();
        }
        session.close().await;
        done
    }

    fn require_free(&self, name: &MachineName) -> Result<(), AdoptError> {
        if self.store.exists(name) {
            return Err(AdoptError::Exists(name.to_string()));
        }
        Ok(())
    }

    /// Makes the driver's side of the machine in the staging folder.
    async fn generic(
        &self,
        request: &AdoptRequest,
        staged: &Staging,
        told: &str,
        progress: &dyn Progress,
    ) -> Result<Box<dyn Machine>, AdoptError> {
        let driver = self.driver(GENERIC)?;
        let specs = driver.flags().map_err(MachineError::from)?;
        let mut flags = FlagValues::defaults(&specs);
        let text = |text: &str| FlagValue::Text(text.to_owned());
        flags.set("generic-ip-address", text(&request.host));
        flags.set("generic-ssh-user", text(&request.user));
        flags.set("generic-ssh-port", FlagValue::Number(request.port.into()));
        if let Some(key) = &request.key {
            flags.set("generic-ssh-key", text(&key.to_string_lossy()));
        }
        let context = MachineContext {
            name: told.to_owned(),
            directory: staged.folder().to_owned(),
            store_root: self.store.root().to_owned(),
        };
        let mut machine = driver
            .configure(&context, &flags)
            .map_err(MachineError::from)?;
        machine
            .pre_create_check()
            .await
            .map_err(MachineError::from)?;
        let journal = NoJournal {
            name: told,
            progress,
        };
        machine.create(&journal).await.map_err(MachineError::from)?;
        Ok(machine)
    }

    fn adopted(
        &self,
        name: &MachineName,
        machine: &dyn Machine,
        staged: &Staging,
        (found, trust): (&Found, &Trust),
        port: u16,
    ) -> MachineRecord {
        let place = (&self.store.certs(), &self.store.machine(name));
        let mut config = HostConfig::new(name, GENERIC, &found.engine, &[], place);
        let mut driver = machine.config();
        driver["EnginePort"] = Value::from(port);
        config.set_driver(driver);
        config.move_to(name, place, &staged.folder().to_string_lossy());
        let side = SideRecord {
            stable_name: trust.stable_name.clone(),
            certificate_names: found.certificate.names().to_vec(),
            trusted: trust.others.clone(),
            authorities: trust.fingerprints(),
            adopted: true,
            ..SideRecord::default()
        };
        MachineRecord {
            name: name.clone(),
            config,
            side,
        }
    }
}

/// Returns how the operator's own configuration of SSH leads to the host.
async fn endpoint(request: &AdoptRequest, machine: &dyn Machine) -> Result<Endpoint, AdoptError> {
    let endpoint = machine.ssh_endpoint().await.map_err(MachineError::from)?;
    Config::of_operator()
        .complete(&request.host, ssh_endpoint(endpoint))
        .map_err(|source| AdoptError::Config {
            host: request.host.clone(),
            source,
        })
}

/// Logs in; a host that the operator knows already must show the key that it is known by.
async fn login(request: &AdoptRequest, endpoint: &Endpoint) -> Result<Session, AdoptError> {
    let policy = match &request.host_key {
        Some(text) => HostKeyPolicy::Pinned(HostKey::parse(text).map_err(AdoptError::HostKey)?),
        None => HostKeyPolicy::KnownHostsOrLearn,
    };
    Session::connect(endpoint, &policy, SSH_TIMEOUT)
        .await
        .map_err(|source| AdoptError::Connect {
            host: request.host.clone(),
            source: Box::new(source),
        })
}

/// Returns the way through SSH, for hosts whose firewall closes the agent's port.
fn tunnel(endpoint: Endpoint, session: &Session) -> Tunnel {
    Tunnel {
        endpoint,
        host_key: HostKeyPolicy::Pinned(session.host_key().clone()),
        socket: AGENT_SOCKET.to_owned(),
    }
}

/// Asks the agent who it is, with the certificates that the machine will have.
async fn answer(
    staged: &Staging,
    trust: &Trust,
    (host, port): (&str, u16),
    tunnel: Tunnel,
) -> Result<AgentRecord, AdoptError> {
    let file = |name: &str| staged.folder().join(name);
    let known_as = trust.stable_name.as_deref().unwrap_or(host);
    let identity = Identity::load(
        &file("ca.pem"),
        &file("cert.pem"),
        &file("key.pem"),
        known_as,
    )?;
    let target = Target {
        host: host.to_owned(),
        port,
        identity,
        tunnel: Some(tunnel),
    };
    let deadline = Instant::now() + ANSWER_PATIENCE;
    loop {
        let said = match connect(&target, &|_route| {}).await {
            Ok(agent) => match agent.version().await {
                Ok(answer) => {
                    return Ok(AgentRecord {
                        sha256: answer.executable_sha256,
                        version: answer.version,
                    });
                }
                Err(status) => crate::list::failed_call(&agent, &status),
            },
            Err(error) => crate::list::chain(&error),
        };
        if Instant::now() >= deadline {
            return Err(AdoptError::Answer {
                host: host.to_owned(),
                said,
            });
        }
        // It reads its trust when it gets to it, and says so to nobody.
        sleep(ANSWER_PAUSE).await;
    }
}
