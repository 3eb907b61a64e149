//! Reaching a machine by SSH.

use std::time::Duration;

use berth_controller_ssh as ssh;
use berth_controller_store::{MachineRecord, WriteError};
use berth_provisioners_api::{Machine, MachineState, SshEndpoint};
use tokio::time::sleep;

use crate::agent::is_off;
use crate::fleet::Loaded;
use crate::list::chain;
use crate::{Fleet, MachineError, Progress};

/// How long a machine that runs may take to let us in.
const SSH_TIMEOUT: Duration = Duration::from_secs(20);
/// How long it may take before its driver is asked whether it is off.
const PROMPT: Duration = Duration::from_millis(300);
/// How long a machine may take to come up before the operator is told what it looks like.
const SILENT_WAIT: Duration = Duration::from_secs(10);

/// A machine cannot be reached by SSH.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SshError {
    /// The machine cannot be worked with.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The machine does not run.
    #[error("machine {machine:?} is not running")]
    NotRunning {
        /// The machine.
        machine: String,
    },
    /// The host's key cannot be written down.
    #[error(transparent)]
    Store(#[from] WriteError),
    /// The key on record makes no sense.
    #[error("host key on record for machine {machine:?} cannot be used")]
    HostKey {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: ssh::HostKeyError,
    },
    /// No session.
    #[error("cannot log in to machine {machine:?}")]
    Connect {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: ssh::ConnectError,
    },
    /// The operator's SSH configuration cannot be used.
    #[error("cannot find the way to machine {machine:?}")]
    Config {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: ssh::ConfigError,
    },
    /// The words after the machine's name cannot be followed.
    #[error("cannot do that on machine {machine:?}")]
    Words {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: ssh::Beyond,
    },
    /// A session could not be carried through.
    #[error("session with machine {machine:?} failed")]
    Interact {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: ssh::InteractError,
    },
    /// A program of the system cannot be used.
    #[error("cannot use a program of this computer for machine {machine:?}")]
    System {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: ssh::SystemError,
    },
    /// A command was not answered as it must be, as on a host that is going down.
    #[error("machine {machine:?} does not answer a simple command")]
    Silent {
        /// The machine.
        machine: String,
    },
    /// A command could not be run.
    #[error("command on machine {machine:?} could not be run")]
    Exec {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: ssh::ExecError,
    },
}

/// Which program makes a connection that the operator asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SshProgram {
    /// This client, and the system's `ssh` for what only that can do.
    #[default]
    Either,
    /// This client and no other.
    Native,
    /// The system's `ssh`.
    System,
}

/// The system's `ssh`, set up for a machine.
pub(crate) struct SystemWay {
    pub(crate) ssh: ssh::SystemSsh,
}

impl SystemWay {
    async fn run(&self, name: &str, words: &[String]) -> Result<u8, SshError> {
        self.ssh
            .run(words)
            .await
            .map_err(|source| SshError::System {
                machine: name.to_owned(),
                source,
            })
    }
}

impl SshError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(error) => error.hint(),
            Self::NotRunning { machine } => Some(format!("berth machine start {machine}")),
            Self::Connect {
                machine,
                source: ssh::ConnectError::HostKeyChanged { presented, .. },
            } => Some(format!(
                "somebody may be in between, or the host was installed anew: berth machine doctor \
                 {machine} tells more; if you know that it was, replace \"host_key\" in the \
                 machine's berth.json by {:?} (or remove and create machine {machine})",
                presented.to_openssh()
            )),
            Self::Connect { source, .. } => source.hint(),
            Self::Words {
                source: ssh::Beyond::System(_),
                ..
            } => Some("leave --native-ssh out, so that the system's ssh can do it".to_owned()),
            Self::System {
                source: ssh::SystemError::Missing(program),
                ..
            } => Some(format!("install {program}, or do without what needs it")),
            _ => None,
        }
    }
}

impl Fleet {
    /// Opens an SSH session with a machine, its host key verified.
    ///
    /// The caller runs commands or a shell on it ([`ssh::Session::run`]).
    ///
    /// # Errors
    ///
    /// When there is no such machine, its host key has changed, or it cannot be logged in to.
    pub async fn ssh(&self, name: &str) -> Result<ssh::Session, SshError> {
        let loaded = self.load(name)?;
        let (endpoint, policy) = way(&loaded.record, &*loaded.machine).await?;
        self.enter(&loaded, &endpoint, &policy).await
    }

    /// Opens a session, and writes down the key of a host that had none on record.
    pub(crate) async fn enter(
        &self,
        loaded: &Loaded,
        endpoint: &ssh::Endpoint,
        policy: &ssh::HostKeyPolicy,
    ) -> Result<ssh::Session, SshError> {
        let Loaded { record, machine } = loaded;
        let name = record.name.as_str();
        let off = async {
            sleep(PROMPT).await;
            match machine.state().await {
                Ok(state) if is_off(state) => {}
                _ => std::future::pending().await,
            }
        };
        let connected = tokio::select! {
            // What loses is dropped: an answer that comes later is no longer of interest.
            connected = ssh::Session::connect(endpoint, policy, SSH_TIMEOUT) => connected,
            () = off => {
                let machine = name.to_owned();
                return Err(SshError::NotRunning { machine });
            }
        };
        let session = match connected {
            Ok(session) => session,
            Err(source) => {
                let state = machine.state().await;
                let off = state.is_ok_and(|state| state != MachineState::Running);
                let machine = name.to_owned();
                return Err(if off && source.may_pass() {
                    SshError::NotRunning { machine }
                } else {
                    SshError::Connect { machine, source }
                });
            }
        };
        // Learnt on the first connection, such as to a machine that docker-machine has made. A
        // machine that another process works on is that one's to write down.
        if record.side.host_key.is_none()
            && let Ok(_lock) = self.store.lock_machine(&record.name)
        {
            let mut record = self.record(name)?;
            record
                .side
                .host_key
                .get_or_insert_with(|| session.host_key().to_openssh());
            self.store.save_side(&record)?;
        }
        Ok(session)
    }

    /// Does what the words after a machine's name ask, as the system's `ssh` would after a host:
    /// options, then a command; returns the exit code.
    ///
    /// # Errors
    ///
    /// When the machine cannot be logged in to, or the words cannot be followed.
    pub async fn ssh_words(
        &self,
        name: &str,
        words: &[String],
        program: SshProgram,
    ) -> Result<u8, SshError> {
        let loaded = self.load(name)?;
        let parsed = match (program, ssh::Options::parse(words)) {
            (SshProgram::System, _) => {
                return self.system_ssh(&loaded).await?.run(name, words).await;
            }
            (SshProgram::Either, Err(ssh::Beyond::System(_))) => {
                return self.system_ssh(&loaded).await?.run(name, words).await;
            }
            (_, parsed) => parsed,
        };
        let options = parsed.map_err(|source| SshError::Words {
            machine: name.to_owned(),
            source,
        })?;
        let mut config = match &options.config_file {
            Some(path) => ssh::Config::of_file(path),
            None => ssh::Config::of_operator(),
        };
        for (keyword, value) in &options.config {
            config = config.with(keyword, value);
        }
        let (mut endpoint, policy) = way_with(&config, &loaded.record, &*loaded.machine).await?;
        endpoint.user = options.user.clone().unwrap_or(endpoint.user);
        endpoint.port = options.port.unwrap_or(endpoint.port);
        endpoint.key = options.key.clone().or(endpoint.key);
        let session = self.enter(&loaded, &endpoint, &policy).await?;
        let code = session.interact(&options, &endpoint).await;
        code.map_err(|source| SshError::Interact {
            machine: name.to_owned(),
            source,
        })
    }

    /// Sets the system's `ssh` up for a machine; one whose key is not on record is met first.
    pub(crate) async fn system_ssh(&self, loaded: &Loaded) -> Result<SystemWay, SshError> {
        let (endpoint, policy) = way(&loaded.record, &*loaded.machine).await?;
        let key = match policy {
            ssh::HostKeyPolicy::Pinned(key) => key,
            policy => {
                let session = self.enter(loaded, &endpoint, &policy).await?;
                session.host_key().clone()
            }
        };
        let directory = self.store.machine(&loaded.record.name).directory;
        let known_hosts = directory.join("known_hosts");
        let ssh = ssh::SystemSsh::new(&endpoint, &key, &known_hosts);
        Ok(SystemWay {
            ssh: ssh.map_err(|source| SshError::System {
                machine: loaded.record.name.to_string(),
                source,
            })?,
        })
    }

    /// Like [`Fleet::log_in`], but tells the operator why it takes long when it does.
    pub(crate) async fn log_in_patiently(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
        patience: Duration,
        progress: &dyn Progress,
    ) -> Result<ssh::Session, SshError> {
        match self
            .log_in(record, machine, SILENT_WAIT.min(patience))
            .await
        {
            Err(SshError::Connect { source, .. }) if source.may_pass() || source.is_timeout() => {
                let left = patience.saturating_sub(SILENT_WAIT);
                let text = format!(
                    "{}; trying for another {} s",
                    chain(&source),
                    left.as_secs()
                );
                progress.notice(record.name.as_str(), &text);
                self.log_in(record, machine, left).await
            }
            done => done,
        }
    }

    /// Opens a session with a machine that may still be coming up.
    pub(crate) async fn log_in(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
        patience: Duration,
    ) -> Result<ssh::Session, SshError> {
        let (endpoint, policy) = way(record, machine).await?;
        ssh::Session::connect_when_up(&endpoint, &policy, patience)
            .await
            .map_err(|source| SshError::Connect {
                machine: record.name.to_string(),
                source,
            })
    }
}

/// Returns where a machine's SSH server is, how the operator's configuration leads there, and which
/// key it must show.
pub(crate) async fn way(
    record: &MachineRecord,
    machine: &dyn Machine,
) -> Result<(ssh::Endpoint, ssh::HostKeyPolicy), SshError> {
    way_with(&ssh::Config::of_operator(), record, machine).await
}

async fn way_with(
    config: &ssh::Config,
    record: &MachineRecord,
    machine: &dyn Machine,
) -> Result<(ssh::Endpoint, ssh::HostKeyPolicy), SshError> {
    let endpoint = machine.ssh_endpoint().await.map_err(MachineError::from)?;
    let known = record
        .side
        .host_key
        .as_deref()
        .or(endpoint.host_key.as_deref());
    let policy = match known {
        Some(text) => {
            let key = ssh::HostKey::parse(text).map_err(|source| SshError::HostKey {
                machine: record.name.to_string(),
                source,
            })?;
            ssh::HostKeyPolicy::Pinned(key)
        }
        // A cloud gives addresses to others again: old keys under them say nothing.
        None if machine.was_there_before() => ssh::HostKeyPolicy::KnownHostsOrLearn,
        None => ssh::HostKeyPolicy::Learn,
    };
    let name = endpoint.host.clone();
    let endpoint = config
        .complete(&name, ssh_endpoint(endpoint))
        .map_err(|source| SshError::Config {
            machine: record.name.to_string(),
            source,
        })?;
    Ok((endpoint, policy))
}

/// Makes sure that a record that somebody else wrote names nothing as host and user that programs
/// or a shell could take for something else.
pub(crate) fn check_names(record: &MachineRecord) -> Result<(), ssh::NameError> {
    let driver = record.config.driver();
    let text = |key: &str| driver[key].as_str().unwrap_or_default();
    ssh::check_host(text("IPAddress"))?;
    ssh::check_user(text("SSHUser"))
}

pub(crate) fn ssh_endpoint(endpoint: SshEndpoint) -> ssh::Endpoint {
    ssh::Endpoint {
        host: endpoint.host,
        port: endpoint.port,
        user: endpoint.user,
        key: endpoint.key,
        ..ssh::Endpoint::default()
    }
}
