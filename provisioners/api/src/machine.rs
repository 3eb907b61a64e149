//! One machine.

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use serde_json::Value;

use crate::DriverError;

/// The agent's port where a driver does not say otherwise.
pub const DEFAULT_ENGINE_PORT: u16 = 2376;

/// What a machine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MachineState {
    /// It runs.
    Running,
    /// It is frozen in memory.
    Paused,
    /// It is frozen on disk.
    Saved,
    /// It is off.
    Stopped,
    /// It is going down.
    Stopping,
    /// It is coming up.
    Starting,
    /// It is there but broken, or its state cannot be told.
    Error,
    /// It does not exist where it should: never made, or removed behind our back.
    NotFound,
}

/// How to reach a machine by SSH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshEndpoint {
    /// A host name or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// The private key; `None` for the operator's default keys and agent.
    pub key: Option<PathBuf>,
    /// The host's public key in OpenSSH's form (`ssh-ed25519 AAAA…`) where the driver knows it
    /// beforehand; then even the first connection is verified.
    pub host_key: Option<String>,
}

/// What is left to do for a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// The driver has restarted the machine.
    Done,
    /// The driver has no means; the host should be told to reboot over SSH.
    AskHost,
}

/// The journal could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot record step {step} of machine {machine}")]
pub struct JournalError {
    /// The machine.
    pub machine: String,
    /// The step that was to be recorded.
    pub step: String,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Where a driver writes down what it is about to make.
pub trait Journal: Send + Sync {
    /// Records durably that `step` is about to be done, with the configuration from which
    /// [`Machine::remove`] can undo it.
    ///
    /// When this returns, a crash at any later moment leaves `config` in the store. Names and
    /// identifiers of what the step makes must therefore be chosen before it, and be in `config`.
    ///
    /// # Errors
    ///
    /// When the store cannot be written; the step must not be done then.
    fn step(&self, step: &str, config: &Value) -> Result<(), JournalError>;

    /// Tells the operator something, as one line.
    fn say(&self, message: &str);
}

/// One machine of some driver.
#[async_trait]
pub trait Machine: fmt::Debug + Send + Sync {
    /// Returns what [`crate::Driver::load`] needs to find this machine again.
    ///
    /// It becomes the `Driver` object of `config.json` and starts with [`crate::BaseConfig`].
    fn config(&self) -> Value;

    /// Checks, without changing anything, whether `create` can succeed here.
    ///
    /// # Errors
    ///
    /// When it cannot; the error says what to do.
    async fn pre_create_check(&self) -> Result<(), DriverError> {
        Ok(())
    }

    /// Makes the machine and leaves it running, its SSH server reachable or about to be.
    ///
    /// Every thing is announced to `journal` before it is made. On a machine whose creation was
    /// cut off, goes on from there; on a machine that is complete, does nothing.
    ///
    /// # Errors
    ///
    /// When a step fails. What was made stays, for another `create` or for `remove`.
    async fn create(&mut self, journal: &dyn Journal) -> Result<(), DriverError>;

    /// Returns what the machine is doing; a machine that does not exist is no error.
    ///
    /// # Errors
    ///
    /// When the state cannot be found out.
    async fn state(&self) -> Result<MachineState, DriverError>;

    /// Tells whether [`Machine::state`] asks nobody but this host's kernel, and is answered at
    /// once. Else whoever wants to know much in little time asks the machine itself first.
    fn state_is_at_hand(&self) -> bool {
        false
    }

    /// Tells whether the record alone says the machine's address and how to reach it by SSH and
    /// its engine, so that nobody has to be asked, and nothing that is secret is needed for it.
    fn facts_are_at_hand(&self) -> bool {
        false
    }

    /// Makes sure that what the provider wants to know is there, before anything is written down
    /// of a change that may then not come about.
    ///
    /// # Errors
    ///
    /// When a secret is not where it should be.
    async fn prepare(&self) -> Result<(), DriverError> {
        Ok(())
    }

    /// Starts the machine; one that runs is left alone.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    async fn start(&mut self) -> Result<(), DriverError>;

    /// Stops the machine in an orderly way and waits for it; one that is off is left alone.
    ///
    /// # Errors
    ///
    /// When it cannot be stopped.
    async fn stop(&mut self) -> Result<(), DriverError>;

    /// Restarts the machine, or says that the host itself has to be asked.
    ///
    /// # Errors
    ///
    /// When it cannot be restarted.
    async fn restart(&mut self) -> Result<Restart, DriverError> {
        self.stop().await?;
        self.start().await?;
        Ok(Restart::Done)
    }

    /// Turns the machine off at once, as by its mains switch.
    ///
    /// # Errors
    ///
    /// When it cannot be turned off.
    async fn kill(&mut self) -> Result<(), DriverError>;

    /// Removes every trace of the machine outside its store directory.
    ///
    /// Works after a `create` that was cut off at any step, and when parts or all of it are gone
    /// already. Calling it again is harmless.
    ///
    /// # Errors
    ///
    /// When something that exists could not be removed; the rest is removed all the same.
    async fn remove(&mut self) -> Result<(), DriverError>;

    /// Returns the machine's address.
    ///
    /// # Errors
    ///
    /// When it has none (yet).
    async fn ip(&self) -> Result<String, DriverError>;

    /// Returns how to reach it by SSH.
    ///
    /// # Errors
    ///
    /// When it has no address (yet).
    async fn ssh_endpoint(&self) -> Result<SshEndpoint, DriverError>;

    /// Returns whether the host was there before the machine: then the operator's own files may
    /// know its key already.
    fn was_there_before(&self) -> bool {
        false
    }

    /// Returns whether an agent can be put on the machine; creation ends with the driver's part
    /// when it cannot.
    fn takes_agent(&self) -> bool {
        true
    }

    /// Returns the port that the agent shall listen on.
    fn engine_port(&self) -> u16 {
        DEFAULT_ENGINE_PORT
    }

    /// Returns the agent's address as docker's tools take it: `tcp://address:port`.
    ///
    /// # Errors
    ///
    /// When the machine has no address (yet).
    async fn engine_url(&self) -> Result<String, DriverError> {
        let ip = self.ip().await?;
        let port = self.engine_port();
        Ok(if ip.contains(':') {
            format!("tcp://[{ip}]:{port}")
        } else {
            format!("tcp://{ip}:{port}")
        })
    }
}

impl MachineState {
    /// Returns the word that docker-machine prints for this state.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Paused => "Paused",
            Self::Saved => "Saved",
            Self::Stopped => "Stopped",
            Self::Stopping => "Stopping",
            Self::Starting => "Starting",
            Self::Error => "Error",
            Self::NotFound => "NotFound",
        }
    }
}

impl fmt::Display for MachineState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}
