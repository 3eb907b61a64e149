//! Starting, stopping, restarting and killing machines.

use std::time::Duration;

use berth_controller_ssh::Session;
use berth_controller_store::MachineRecord;
use berth_provisioners_api::{DriverError, Machine, Restart};
use tokio::time::{Instant, timeout};

use crate::fleet::Loaded;
use crate::host::{Host, HostError};
use crate::{Fleet, MachineError, Progress, ProvisionError, SshError};

/// Reboots a host, as root.
const REBOOT: &str = "shutdown -r now || reboot";
/// How long a host may take for a reboot.
const REBOOT_PATIENCE: Duration = Duration::from_secs(600);
/// How long a host may take to let us in before it reboots.
const LOGIN_PATIENCE: Duration = Duration::from_secs(60);
/// How long a host may take to answer one command.
const ORDER_PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait for the end of the connection before a rebooting host is asked again.
const REBOOT_PAUSE: Duration = Duration::from_secs(1);

/// A machine could not be started, stopped, restarted or killed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LifecycleError {
    /// The machine cannot be worked with.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Another process works on that machine.
    #[error(transparent)]
    Locked(#[from] berth_controller_store::LockError),
    /// The driver failed.
    #[error("machine {machine:?} could not be {participle}")]
    Driver {
        /// The machine.
        machine: String,
        /// What was to be done with it: "started".
        participle: &'static str,
        /// Why.
        #[source]
        source: DriverError,
    },
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] berth_controller_store::WriteError),
    /// The host could not be told to restart.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The user cannot become root to restart the host.
    #[error("cannot restart machine {machine:?}")]
    Host {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: Box<HostError>,
    },
    /// The host refused to restart.
    #[error("machine {machine:?} did not restart: {said}")]
    Reboot {
        /// The machine.
        machine: String,
        /// What the host printed.
        said: String,
    },
    /// The machine runs, but its agent does not answer.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
}

impl LifecycleError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(error) => error.hint(),
            Self::Driver { source, .. } => source.hint().map(ToOwned::to_owned),
            Self::Ssh(error) => error.hint(),
            Self::Host { source, .. } => source.hint(),
            Self::Provision(error) => error.hint(),
            _ => None,
        }
    }
}

/// What is done with a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Start,
    Stop,
    Restart,
    Kill,
}

impl Fleet {
    /// Starts a machine and makes sure that its agent runs, with a certificate for the address
    /// that the machine has now.
    ///
    /// # Errors
    ///
    /// When it cannot be started or its agent does not answer.
    pub async fn start(&self, name: &str, progress: &dyn Progress) -> Result<(), LifecycleError> {
        self.act(name, Action::Start, progress).await
    }

    /// Stops a machine in an orderly way.
    ///
    /// # Errors
    ///
    /// When it cannot be stopped.
    pub async fn stop(&self, name: &str, progress: &dyn Progress) -> Result<(), LifecycleError> {
        self.act(name, Action::Stop, progress).await
    }

    /// Restarts a machine and makes sure that its agent runs.
    ///
    /// # Errors
    ///
    /// When it cannot be restarted or its agent does not answer.
    pub async fn restart(&self, name: &str, progress: &dyn Progress) -> Result<(), LifecycleError> {
        self.act(name, Action::Restart, progress).await
    }

    /// Turns a machine off at once.
    ///
    /// # Errors
    ///
    /// When it cannot be turned off.
    pub async fn kill(&self, name: &str, progress: &dyn Progress) -> Result<(), LifecycleError> {
        self.act(name, Action::Kill, progress).await
    }

    async fn act(
        &self,
        name: &str,
        action: Action,
        progress: &dyn Progress,
    ) -> Result<(), LifecycleError> {
        let _lock = self.store.lock_machine(&self.record(name)?.name)?;
        let loaded = self.load(name)?;
        if matches!(action, Action::Start | Action::Restart) {
            loaded.require_whole()?;
        }
        let Loaded {
            mut record,
            mut machine,
        } = loaded;
        progress.step(name, action.announcement());
        let result = match action {
            Action::Start => machine.start().await.map(|()| Restart::Done),
            Action::Stop => machine.stop().await.map(|()| Restart::Done),
            Action::Kill => machine.kill().await.map(|()| Restart::Done),
            Action::Restart => machine.restart().await,
        };
        // Whatever has happened, the driver knows best what there is now.
        record.config.set_driver(machine.config());
        self.store.save(&record)?;
        let left = result.map_err(|source| LifecycleError::Driver {
            machine: name.to_owned(),
            participle: action.participle(),
            source,
        })?;
        if left == Restart::AskHost {
            self.reboot_over_ssh(&record, &*machine).await?;
        }
        if matches!(action, Action::Start | Action::Restart) {
            self.put_agent(&mut record, &*machine, false, progress)
                .await?;
        }
        Ok(())
    }

    /// Tells a host to reboot and waits until it has: its boot has another identity then.
    async fn reboot_over_ssh(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
    ) -> Result<(), LifecycleError> {
        let deadline = Instant::now() + REBOOT_PATIENCE;
        let left = || deadline.saturating_duration_since(Instant::now());
        let mut session = self.log_in(record, machine, LOGIN_PATIENCE).await?;
        let before = boot_id(record, &session).await?;
        self.order_reboot(record, &session).await?;
        loop {
            // A host that goes down in order closes its connections; one that is just gone is
            // noticed by asking.
            let _ended_or_not = timeout(REBOOT_PAUSE, session.closed()).await;
            session = self.log_in(record, machine, left()).await?;
            match boot_id(record, &session).await {
                Ok(now) if now != before => return Ok(()),
                Err(error) if left().is_zero() => return Err(error.into()),
                Ok(_) if left().is_zero() => {
                    let machine = record.name.to_string();
                    let said = "it still runs".to_owned();
                    return Err(LifecycleError::Reboot { machine, said });
                }
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Gives the order to reboot; that nothing is heard of it any more is no failure.
    async fn order_reboot(
        &self,
        record: &MachineRecord,
        session: &Session,
    ) -> Result<(), LifecycleError> {
        let machine = record.name.to_string();
        let host = match Host::look(session, &machine, &self.sudo).await {
            Ok(host) => host,
            Err(source) => {
                let source = Box::new(source);
                return Err(LifecycleError::Host { machine, source });
            }
        };
        if let Ok(Ok(output)) = timeout(ORDER_PATIENCE, host.root().order(REBOOT)).await
            && !output.status.success()
        {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(LifecycleError::Reboot { machine, said });
        }
        Ok(())
    }
}

async fn boot_id(record: &MachineRecord, session: &Session) -> Result<Vec<u8>, SshError> {
    let asked = session.exec("cat /proc/sys/kernel/random/boot_id", b"");
    let machine = || record.name.to_string();
    let output = timeout(ORDER_PATIENCE, asked)
        .await
        .map_err(|_elapsed| SshError::Silent { machine: machine() })?;
    let output = output.map_err(|source| SshError::Exec {
        machine: machine(),
        source,
    })?;
    // A host that is going down may take the command and not do it.
    if output.status.success() && !output.stdout.is_empty() {
        Ok(output.stdout)
    } else {
        Err(SshError::Silent { machine: machine() })
    }
}

impl Action {
    fn announcement(self) -> &'static str {
        match self {
            Self::Start => "Starting",
            Self::Stop => "Stopping",
            Self::Restart => "Restarting",
            Self::Kill => "Killing",
        }
    }

    fn participle(self) -> &'static str {
        match self {
            Self::Start => "started",
            Self::Stop => "stopped",
            Self::Restart => "restarted",
            Self::Kill => "killed",
        }
    }
}
