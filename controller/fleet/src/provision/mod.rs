//! Putting the agent on a machine, or checking that it is there.

mod config;
mod error;

use std::sync::Mutex;
use std::time::Duration;

use berth_controller_client::Agent;
use berth_controller_pki::{ServerIdentity, stable_name};
use berth_controller_provision::{
    self as provision, AgentBinary, Change, HostFacts, Passwords, Plan, Present, Report, Step,
};
use berth_controller_ssh::Session;
use berth_controller_store::{self as store, AgentRecord, MachineRecord};
use berth_provisioners_api::{DriverError, Machine};
use tokio::time::timeout;

use self::config::agent_config;
use crate::certificates::OnHost;
use crate::fleet::Loaded;
use crate::journal::{self, DRIVER_IS_DONE};
use crate::list::{chain, failed_call};
use crate::{AgentError, Fleet, MachineError, Progress, certificates};

pub(crate) use self::config::settings;
pub use self::error::ProvisionError;

/// How long a machine may take until its SSH server lets us in.
const SSH_PATIENCE: Duration = Duration::from_secs(300);
/// How often a connection that is lost in the middle is made anew.
const ATTEMPTS: u32 = 3;
/// How long an agent that says it is ready may take to answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// What provisioning did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProvisionReport {
    /// What was replaced: `binary`, `configuration`, `unit`, `certificates`; empty when all was as
    /// it should be.
    pub changes: Vec<String>,
    /// Whether the agent was started or restarted.
    pub restarted: bool,
    /// The version of the agent that was there before, as far as it is on record.
    pub before: Option<String>,
    /// The version of the agent that answers now.
    pub version: String,
}

/// Passes the progress of one machine on.
struct Named<'a> {
    machine: &'a str,
    progress: &'a dyn Progress,
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
    ) -> Result<ProvisionReport, ProvisionError> {
        let record = self.record(name)?;
        let _lock = self.store.lock_machine(&record.name)?;
        let Loaded {
            mut record,
            machine,
        } = self.load(name)?;
        if record.side.engine == store::Engine::Docker {
            return Err(ProvisionError::Docker {
                machine: name.to_owned(),
            });
        }
        if record.side.progress == store::Progress::Removing {
            return Err(MachineError::HalfRemoved(name.to_owned()).into());
        }
        let unfinished = record.side.progress == store::Progress::Creating;
        if unfinished
            && !record
                .side
                .journal
                .iter()
                .any(|entry| entry.step == DRIVER_IS_DONE)
        {
            return Err(MachineError::Incomplete(name.to_owned()).into());
        }
        let report = self
            .put_agent(&mut record, &*machine, false, progress)
            .await?;
        if unfinished {
            record.side.progress = store::Progress::Ready;
            journal::step(&self.store, &mut record, "ready")?;
        }
        Ok(report)
    }

    /// Puts the agent on a machine that runs, under the machine's lock.
    pub(crate) async fn put_agent(
        &self,
        record: &mut MachineRecord,
        machine: &dyn Machine,
        restart: bool,
        progress: &dyn Progress,
    ) -> Result<ProvisionReport, ProvisionError> {
        let name = record.name.to_string();
        if record.side.engine == store::Engine::Docker {
            return self.leave_docker(record, machine, progress).await;
        }
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
        let mut session = session?;
        let mut attempt = 1;
        loop {
            if record.side.host_key.is_none() {
                record.side.host_key = Some(session.host_key().to_openssh());
                self.store.save_side(record)?;
            }
            let done = self
                .put_agent_over(&session, record, machine, (&agent, restart), progress)
                .await;
            session.close().await;
            match done {
                // All of it is safe to repeat, and goes on where it was cut off.
                Err(error) if error.is_lost_connection() && attempt < ATTEMPTS => {
                    attempt += 1;
                    let text = format!(
                        "{}; connecting again (attempt {attempt} of {ATTEMPTS})",
                        chain(&error)
                    );
                    progress.notice(&name, &text);
                }
                done => return done,
            }
            session = self
                .log_in_patiently(record, machine, SSH_PATIENCE, progress)
                .await?;
        }
    }

    async fn put_agent_over(
        &self,
        session: &Session,
        record: &mut MachineRecord,
        machine: &dyn Machine,
        (agent, restart): (&AgentBinary, bool),
        progress: &dyn Progress,
    ) -> Result<ProvisionReport, ProvisionError> {
        let name = record.name.to_string();
        let password = Mutex::new(None);
        let ask = |user: &str, attempt| self.sudo.ask(&name, user, attempt);
        let passwords = Passwords::new(&ask, &password);
        let present = present(session, record, passwords).await;
        let present = present.map_err(|source| host(&name, source))?;
        let on_host = OnHost::from(&present);
        let authority = certificates::authority(&self.store)?;
        let identity = self.identity(record, machine, &on_host).await?;
        let tls =
            certificates::machine_files(&self.store, record, &authority, &identity, &on_host)?;
        let (config, without_effect) = agent_config(record, machine, &identity, &present)?;
        let cache = self.store.cache();
        let named = Named {
            machine: &name,
            progress,
        };
        let mut plan = Plan {
            agent,
            cache: &cache,
            config: &config,
            tls: &tls,
            restart,
            patience: provision::PATIENCE,
            passwords,
        };
        let mut report = provision::provision(session, &plan, &named)
            .await
            .map_err(|source| host(&name, source))?;
        let told = report.warnings.iter().chain(&without_effect);
        for warning in told.filter(|_warning| !report.changes.is_empty()) {
            progress.notice(&name, warning);
        }
        progress.step(&name, "Checking connection to the agent");
        let mut answer = self.verify(record, machine, agent, progress).await;
        if answer.is_err() && !report.restarted {
            // It was left alone because nothing had changed, yet it is not as it should be.
            plan.restart = true;
            report = provision::provision(session, &plan, &named)
                .await
                .map_err(|source| host(&name, source))?;
            answer = self.verify(record, machine, agent, progress).await;
        }
        let version = settle(session, (&report, plan.passwords), &named, answer).await?;
        certificates::confirm(&self.store, record, &tls, &identity)?;
        let before = record.side.agent.take().map(|agent| agent.version);
        record.side.agent = Some(AgentRecord {
            sha256: agent.sha256().to_owned(),
            version: version.clone(),
        });
        self.store.save_side(record)?;
        tell(&report, &name, progress);
        Ok(ProvisionReport {
            changes: report.changes.iter().map(Change::to_string).collect(),
            restarted: report.restarted,
            before,
            version,
        })
    }

    /// Only waits for a daemon that is not ours to change.
    async fn leave_docker(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
        progress: &dyn Progress,
    ) -> Result<ProvisionReport, ProvisionError> {
        let answer = self.await_docker(record, machine, progress).await;
        let version = answer.map_err(|error| ProvisionError::DockerAnswer(Box::new(error)))?;
        Ok(ProvisionReport {
            version,
            ..ProvisionReport::default()
        })
    }

    /// Asks the agent over mutual TLS who it is; returns its version.
    async fn verify(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
        agent: &AgentBinary,
        progress: &dyn Progress,
    ) -> Result<String, ProvisionError> {
        let asked = self.ask_version(record, machine, agent, progress);
        timeout(ANSWER_PATIENCE, asked)
            .await
            .unwrap_or_else(|_elapsed| {
                let limit = ANSWER_PATIENCE.as_secs();
                Err(ProvisionError::Answer {
                    machine: record.name.to_string(),
                    source: format!("no answer within {limit} s").into(),
                })
            })
    }

    async fn ask_version(
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
        on_host: &OnHost,
    ) -> Result<ServerIdentity, ProvisionError> {
        let stable = self.known_as(record, on_host)?;
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

    /// Returns the name by which the machine's certificate is known; empty when somebody else has
    /// given it one without.
    fn known_as(
        &self,
        record: &mut MachineRecord,
        on_host: &OnHost,
    ) -> Result<String, ProvisionError> {
        let before = record.side.stable_name.clone();
        let foreign = certificates::foreign_issuer(&self.store, record, on_host)?;
        record.side.stable_name = match (&before, foreign) {
            (_, Some(_issuer)) => certificates::shown_name(on_host, before.as_deref()),
            (Some(_), None) => return Ok(before.unwrap_or_default()),
            // A machine that docker-machine has made gets its name now.
            (None, None) => Some(stable_name(record.name.as_str())),
        };
        if record.side.stable_name != before {
            self.store.save_side(record)?;
        }
        Ok(record.side.stable_name.clone().unwrap_or_default())
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
            Step::Service | Step::Start | Step::Settle => return,
        };
        self.progress.step(self.machine, text);
    }

    fn bytes(&self, done: u64, total: u64) {
        self.progress.bytes(self.machine, done, total);
    }
}

/// Reads what the agent on a machine was given before. One that was never ours or anybody's whom we
/// know has nothing that should stay.
async fn present(
    session: &Session,
    record: &MachineRecord,
    passwords: Passwords<'_>,
) -> Result<Present, provision::ProvisionError> {
    if record.side.agent.is_none() && record.side.trusted.is_empty() {
        return Ok(Present::default());
    }
    provision::present(session, passwords).await
}

/// Keeps the new agent if it answered, or has the host take it back.
async fn settle(
    session: &Session,
    (report, passwords): (&Report, Passwords<'_>),
    named: &Named<'_>,
    answer: Result<String, ProvisionError>,
) -> Result<String, ProvisionError> {
    let (facts, folder) = (&report.facts, report.folder.as_str());
    match answer {
        Ok(version) => {
            if report.trying
                && let Err(error) = provision::keep(session, facts, folder, passwords).await
            {
                let text = format!(
                    "the agent answers, but the former one is still kept on the host: {}",
                    chain(&error)
                );
                named.progress.notice(named.machine, &text);
            }
            Ok(version)
        }
        Err(error) if report.trying => {
            let text = "The new agent does not answer as it should; going back";
            named.progress.step(named.machine, text);
            Err(ProvisionError::NotKept {
                machine: named.machine.to_owned(),
                why: chain(&error),
                source: Box::new(provision::go_back(session, facts, folder, passwords).await),
            })
        }
        Err(error) => Err(error),
    }
}

fn host(machine: &str, source: provision::ProvisionError) -> ProvisionError {
    ProvisionError::Host {
        machine: machine.to_owned(),
        source: Box::new(source),
    }
}

fn tell(report: &Report, machine: &str, progress: &dyn Progress) {
    let changes: Vec<String> = report.changes.iter().map(Change::to_string).collect();
    let text = match (changes.is_empty(), report.restarted) {
        (false, _) => format!("Changed {}; the agent answers", changes.join(", ")),
        (true, true) => "The agent was restarted and answers".to_owned(),
        (true, false) => "Nothing to change; the agent answers".to_owned(),
    };
    progress.step(machine, &text);
}
