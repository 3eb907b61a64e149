//! Putting the agent on a machine, or checking that it is there.

use std::time::Duration;

use berth_controller_client::Agent;
use berth_controller_pki::{ServerIdentity, stable_name};
use berth_controller_provision::{
    self as provision, AgentBinary, AgentConfig, BinaryError, HostFacts, Plan, Report, Step,
};
use berth_controller_ssh::Session;
use berth_controller_store::{self as store, AgentRecord, MachineRecord};
use berth_provisioners_api::{DriverError, Machine};

use crate::fleet::Loaded;
use crate::journal::{self, DRIVER_IS_DONE};
use crate::list::failed_call;
use crate::{AgentError, CredentialsError, Fleet, MachineError, Progress, SshError, credentials};

/// How long a machine may take until its SSH server lets us in.
const SSH_PATIENCE: Duration = Duration::from_secs(300);

/// The agent could not be put on a machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// The machine cannot be worked with.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Another process works on that machine.
    #[error(transparent)]
    Locked(#[from] store::LockError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] store::WriteError),
    /// The authority cannot be made or used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The agent's executable cannot be used.
    #[error(transparent)]
    Binary(#[from] BinaryError),
    /// The machine cannot be reached by SSH.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// A step on the host failed.
    #[error("cannot put the agent on machine {machine:?}")]
    Host {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: provision::ProvisionError,
    },
    /// The agent runs, but does not answer as it should.
    #[error("the agent of machine {machine:?} was started but does not answer over TLS")]
    Answer {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A task of this program ended early.
    #[error("reading the agent's executable was cut off")]
    Task(#[source] tokio::task::JoinError),
}

/// Passes the progress of one machine on.
struct Named<'a> {
    machine: &'a str,
    progress: &'a dyn Progress,
}

// === impl ProvisionError ===

impl ProvisionError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(error) => error.hint(),
            Self::Ssh(error) => error.hint(),
            Self::Host { source, .. } => source.hint(),
            Self::Binary(BinaryError::Absent { .. }) => {
                Some("cargo build -p berth-agent-daemon makes it".to_owned())
            }
            Self::Answer { machine, .. } => Some(format!(
                "see /var/log/berthd.log or journalctl -u berthd on the machine (berth machine \
                 ssh {machine}), and whether a firewall closes the engine's port"
            )),
            _ => None,
        }
    }
}

// === impl Fleet ===

impl Fleet {
    /// Installs the agent on a machine, or brings it up to date, and returns when it answers.
    ///
    /// On a machine whose creation was cut off after the driver had made it, goes on with it.
    ///
    /// # Errors
    ///
    /// When a step fails; the same call goes on.
    pub async fn provision(
        &self,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<(), ProvisionError> {
        let record = self.record(name)?;
        let _lock = self.store.lock_machine(&record.name)?;
        let Loaded {
            mut record,
            machine,
        } = self.load(name)?;
        let unfinished = record.side.progress != store::Progress::Ready;
        if unfinished
            && !record
                .side
                .journal
                .iter()
                .any(|entry| entry.step == DRIVER_IS_DONE)
        {
            return Err(MachineError::Incomplete(name.to_owned()).into());
        }
        self.put_agent(&mut record, &*machine, false, progress)
            .await?;
        if unfinished {
            record.side.progress = store::Progress::Ready;
            journal::step(&self.store, &mut record, "ready")?;
        }
        Ok(())
    }

    /// Puts the agent on a machine that runs, under the machine's lock.
    pub(crate) async fn put_agent(
        &self,
        record: &mut MachineRecord,
        machine: &dyn Machine,
        restart: bool,
        progress: &dyn Progress,
    ) -> Result<(), ProvisionError> {
        let name = record.name.to_string();
        progress.step(&name, "Waiting for SSH to be available");
        let agent_path = self.agent_path.clone();
        let find_agent = tokio::task::spawn_blocking(move || match agent_path {
            Some(path) => AgentBinary::open(&path),
            None => AgentBinary::find(),
        });
        let session = self
            .log_in_patiently(record, machine, SSH_PATIENCE, progress)
            .await;
        let agent = find_agent.await.map_err(ProvisionError::Task)??;
        let session = session?;
        if record.side.host_key.is_none() {
            record.side.host_key = Some(session.host_key().to_openssh());
            self.store.save_side(record)?;
        }
        let done = self
            .put_agent_over(&session, record, machine, (&agent, restart), progress)
            .await;
        session.close().await;
        done
    }

    async fn put_agent_over(
        &self,
        session: &Session,
        record: &mut MachineRecord,
        machine: &dyn Machine,
        (agent, restart): (&AgentBinary, bool),
        progress: &dyn Progress,
    ) -> Result<(), ProvisionError> {
        let name = record.name.to_string();
        let identity = self.identity(record, machine).await?;
        let authority = credentials::authority(&self.store)?;
        let tls = credentials::machine_files(&self.store, &record.name, &authority, &identity)?;
        let config = agent_config(record, machine, &identity);
        let cache = self.store.cache();
        let named = Named {
            machine: &name,
            progress,
        };
        let host = |source| ProvisionError::Host {
            machine: name.clone(),
            source,
        };
        let mut plan = Plan {
            agent,
            cache: &cache,
            config: &config,
            tls: &tls,
            restart,
        };
        let report = provision::provision(session, &plan, &named)
            .await
            .map_err(host)?;
        for warning in &report.warnings {
            progress.notice(&name, warning);
        }
        progress.step(&name, "Checking connection to the agent");
        let version = match self.verify(record, machine, agent, progress).await {
            Ok(version) => version,
            // It was left alone because nothing had changed, yet it is not as it should be.
            Err(_) if !report.restarted => {
                plan.restart = true;
                provision::provision(session, &plan, &named)
                    .await
                    .map_err(host)?;
                self.verify(record, machine, agent, progress).await?
            }
            Err(error) => return Err(error),
        };
        record.side.agent = Some(AgentRecord {
            sha256: agent.sha256().to_owned(),
            version,
        });
        record.side.certificate_names = identity.names;
        self.store.save_side(record)?;
        tell(&report, &name, progress);
        Ok(())
    }

    /// Asks the agent over mutual TLS who it is; returns its version.
    async fn verify(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
        agent: &AgentBinary,
        progress: &dyn Progress,
    ) -> Result<String, ProvisionError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| ProvisionError::Answer {
            machine: record.name.to_string(),
            source,
        };
        let connected: Result<Agent, AgentError> =
            self.connect_agent(record, machine, progress).await;
        let channel = connected.map_err(|error| failed(error.into()))?;
        let answer = channel.version().await;
        let answer = answer.map_err(|status| failed(failed_call(&channel, &status).into()))?;
        let runs = answer.executable_sha256.as_str();
        if !runs.is_empty() && runs != agent.sha256() {
            return Err(failed(
                "another version of the agent is still running".into(),
            ));
        }
        Ok(answer.version)
    }

    /// Returns the names that the machine's certificate must have now.
    async fn identity(
        &self,
        record: &mut MachineRecord,
        machine: &dyn Machine,
    ) -> Result<ServerIdentity, ProvisionError> {
        let stable = match &record.side.stable_name {
            Some(name) => name.clone(),
            // A machine that docker-machine has made gets its name now.
            None => {
                let name = stable_name(record.name.as_str());
                record.side.stable_name = Some(name.clone());
                self.store.save_side(record)?;
                name
            }
        };
        let ip = machine
            .ip()
            .await
            .map_err(|error: DriverError| MachineError::from(error))?;
        let mut names = vec![ip];
        names.extend(record.config.certificate_names());
        Ok(ServerIdentity {
            stable_name: stable,
            names,
        })
    }
}

// === impl Named ===

impl provision::Progress for Named<'_> {
    fn found(&self, facts: &HostFacts) {
        let text = format!(
            "Provisioning {} ({})",
            facts.os.pretty_name, facts.architecture
        );
        self.progress.step(self.machine, &text);
    }

    fn step(&self, step: Step) {
        let text = match step {
            Step::Probe => "Looking at the host",
            Step::Upload => "Uploading the agent",
            Step::Install => "Installing and starting the agent",
            Step::Service | Step::Start => return,
        };
        self.progress.step(self.machine, text);
    }

    fn bytes(&self, done: u64, total: u64) {
        self.progress.bytes(self.machine, done, total);
    }
}

fn tell(report: &Report, machine: &str, progress: &dyn Progress) {
    let text = match (report.uploaded, report.restarted) {
        (true, _) => "The agent is installed and answers",
        (false, true) => "The agent was restarted and answers",
        (false, false) => "The agent is up to date and answers",
    };
    progress.step(machine, text);
}

fn agent_config(
    record: &MachineRecord,
    machine: &dyn Machine,
    identity: &ServerIdentity,
) -> AgentConfig {
    let engine = record.config.engine();
    // Hosts without IP version 6 cannot listen on its wildcard, and one of version 4 is not enough
    // for a machine that is known by an address of version 6.
    let any = if identity.names[0].contains(':') {
        "[::]"
    } else {
        "0.0.0.0"
    };
    let provider = format!("provider={}", record.config.driver_name());
    let mut labels = engine.labels;
    if !labels.iter().any(|label| label.starts_with("provider=")) {
        labels.push(provider);
    }
    AgentConfig {
        listen: vec![format!("{any}:{}", machine.engine_port())],
        insecure_registries: engine.insecure_registries,
        registry_mirrors: engine.registry_mirrors,
        labels,
        environment: engine.env,
    }
}
