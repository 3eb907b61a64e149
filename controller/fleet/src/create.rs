//! Making a machine.

use std::sync::Arc;

use berth_controller_pki::stable_name;
use berth_controller_provision::OptionError;
use berth_controller_store::{
    self as store, EngineOptions, HostConfig, LoadError, MachineName, MachineRecord, SideRecord,
    SwarmOptions,
};
use berth_provisioners_api::{Driver, DriverError, FlagValues, Machine};

use crate::journal::{self, DRIVER_IS_DONE, StoreJournal};
use crate::shared_flags::with_shared;
use crate::{Fleet, MachineError, Progress, ProvisionError, secret, veil};

/// A machine about to be made, with its record, which is on disk.
pub(crate) type Begun = (MachineRecord, Box<dyn Machine>, Created);

/// What to make.
#[derive(Clone, Debug, Default)]
pub struct CreateRequest {
    /// The machine's name.
    pub name: String,
    /// The driver's name.
    pub driver: String,
    /// A value for every flag of the driver ([`FlagValues::defaults`], then the operator's).
    pub flags: FlagValues,
    /// What the engine shall be told.
    pub engine: EngineOptions,
    /// What docker-machine's tools shall read about its old kind of swarm; kept, not used.
    pub swarm: SwarmOptions,
    /// Further names and addresses for the machine's certificate.
    pub certificate_names: Vec<String>,
}

/// What `create` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The machine is new.
    New,
    /// An earlier `create` was cut off; this one has finished it.
    Resumed,
}

/// A machine could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// There is a complete machine of that name.
    #[error("machine {0:?} already exists")]
    Exists(String),
    /// The name, the driver, or the record of the cut-off machine.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The driver says, before anything was made, that it cannot succeed.
    #[error("pre-create check failed")]
    PreCreateCheck(#[source] DriverError),
    /// Another process works on that machine.
    #[error(transparent)]
    Locked(#[from] store::LockError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] store::WriteError),
    /// Its removal was cut off.
    #[error("machine {0:?} is being removed")]
    Removing(String),
    /// The machine whose creation was cut off is of another driver.
    #[error("machine {machine:?} was begun with driver {driver}")]
    OtherDriver {
        /// The machine.
        machine: String,
        /// Its driver.
        driver: String,
    },
    /// The driver failed; what it made is on record.
    #[error("driver {driver} could not make machine {machine:?}")]
    Driver {
        /// The driver.
        driver: String,
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: DriverError,
    },
    /// An option of the engine cannot be met; nothing was made.
    #[error(transparent)]
    Options(#[from] OptionError),
    /// The machine is there, but the agent is not on it.
    #[error(transparent)]
    Provision(Box<ProvisionError>),
}

impl From<ProvisionError> for CreateError {
    fn from(error: ProvisionError) -> Self {
        Self::Provision(Box::new(error))
    }
}

impl CreateError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Machine(error) => error.hint(),
            Self::PreCreateCheck(error) | Self::Driver { source: error, .. } => {
                error.hint().map(ToOwned::to_owned)
            }
            Self::Provision(error) => error.hint(),
            Self::Locked(store::LockError::Busy { .. }) => {
                Some("wait until it has ended; berth machine ls shows what became of it".to_owned())
            }
            Self::Removing(machine) => Some(format!("berth machine rm {machine} ends it")),
            Self::OtherDriver { machine, driver } => Some(format!(
                "go on with --driver {driver}, or remove it: berth machine rm {machine}"
            )),
            _ => None,
        }
    }
}

impl Fleet {
    /// Makes a machine, puts the agent on it and returns when the agent answers; or goes on with
    /// one whose creation was cut off.
    ///
    /// # Errors
    ///
    /// When a step fails. Everything that was made is on record then: the same call goes on,
    /// [`Fleet::remove`] removes it.
    pub async fn create(
        &self,
        request: &CreateRequest,
        progress: &dyn Progress,
    ) -> Result<Created, CreateError> {
        let name: MachineName = request.name.parse().map_err(MachineError::from)?;
        let driver = self.driver(&request.driver)?;
        let mut lock = self.store.lock_machine(&name)?;
        let begun = match self.cut_off(&name, &request.driver)? {
            Some(record) => self.go_on(record, progress),
            None => self.begin(&name, &driver, request, progress).await,
        };
        if !self.store.exists(&name) {
            lock.retire();
        }
        let (record, machine, created) = begun?;
        self.carry_out(record, machine, progress).await?;
        Ok(created)
    }

    /// Returns the record of a creation that was cut off, or nothing when there is no machine.
    fn cut_off(
        &self,
        name: &MachineName,
        driver: &str,
    ) -> Result<Option<MachineRecord>, CreateError> {
        let record = match self.store.load(name) {
            Ok(record) => record,
            // Nothing was made before the record was written.
            Err(LoadError::Absent(_) | LoadError::Empty(_)) => return Ok(None),
            Err(source) => {
                return Err(MachineError::Record {
                    machine: name.to_string(),
                    source,
                }
                .into());
            }
        };
        match record.side.progress {
            store::Progress::Ready => Err(CreateError::Exists(name.to_string())),
            store::Progress::Removing => Err(CreateError::Removing(name.to_string())),
            store::Progress::Creating if record.config.driver_name() != driver => {
                Err(CreateError::OtherDriver {
                    machine: name.to_string(),
                    driver: record.config.driver_name().to_owned(),
                })
            }
            store::Progress::Creating => Ok(Some(record)),
        }
    }

    fn go_on(&self, record: MachineRecord, progress: &dyn Progress) -> Result<Begun, CreateError> {
        let name = record.name.as_str();
        // What was made stands for what it was told then; other flags cannot change that.
        let text = format!(
            "an earlier create was cut off; going on with it and its flags (to begin anew: berth \
             machine rm {name})"
        );
        progress.notice(name, &text);
        Ok(self.load_again(record)?)
    }

    async fn begin(
        &self,
        name: &MachineName,
        driver: &Arc<dyn Driver>,
        request: &CreateRequest,
        progress: &dyn Progress,
    ) -> Result<Begun, CreateError> {
        progress.step(name.as_str(), "Running pre-create checks");
        // Nothing is made for an engine that cannot be as it is asked to be.
        crate::provision::settings(request.engine.clone()).read()?;
        let specs = ask(driver, |driver| driver.flags())
            .await
            .map_err(MachineError::from)?;
        let secret::Resolved {
            flags,
            references,
            secrets,
        } = secret::resolve_flags(&specs, &request.flags)
            .await
            .map_err(MachineError::from)?;
        let flags = with_shared(flags, request);
        let context = self.context(name);
        let machine = ask(driver, move |driver| driver.configure(&context, &flags))
            .await
            .map_err(|error| MachineError::from(veil::clean(error, &secrets)))?;
        let machine = if references.is_empty() {
            machine
        } else {
            veil::veil(machine, secrets)
        };
        machine
            .pre_create_check()
            .await
            .map_err(CreateError::PreCreateCheck)?;
        let (certs, paths) = (self.store.certs(), self.store.machine(name));
        let mut config = HostConfig::new(
            name,
            driver.name(),
            &request.engine,
            &request.certificate_names,
            (&certs, &paths),
        );
        config.set_swarm(&request.swarm);
        config.set_driver(machine.config());
        let side = SideRecord {
            progress: store::Progress::Creating,
            stable_name: Some(stable_name(name.as_str())),
            engine: if machine.takes_agent() {
                store::Engine::Berth
            } else {
                store::Engine::Docker
            },
            secrets: references,
            ..SideRecord::default()
        };
        let record = MachineRecord {
            name: name.clone(),
            config,
            side,
        };
        self.store.save(&record)?;
        Ok((record, machine, Created::New))
    }

    /// Makes what is missing of a machine whose record is on disk, under the machine's lock.
    pub(crate) async fn carry_out(
        &self,
        record: MachineRecord,
        mut machine: Box<dyn Machine>,
        progress: &dyn Progress,
    ) -> Result<(), CreateError> {
        let name = record.name.clone();
        progress.step(name.as_str(), "Creating machine");
        let journal = StoreJournal::new(&self.store, record, progress);
        let made = machine.create(&journal).await;
        let mut record = journal.into_record();
        record.config.set_driver(machine.config());
        self.store.save(&record)?;
        made.map_err(|source| CreateError::Driver {
            driver: record.config.driver_name().to_owned(),
            machine: name.to_string(),
            source,
        })?;
        journal::step(&self.store, &mut record, DRIVER_IS_DONE)?;
        if machine.takes_agent() {
            self.put_agent(&mut record, &*machine, false, progress)
                .await?;
        }
        record.side.progress = store::Progress::Ready;
        journal::step(&self.store, &mut record, "ready")?;
        Ok(())
    }
}

/// Asks a driver where waiting for the answer holds up nobody: a plugin may hang, while other
/// machines are made and the operator gives up.
async fn ask<T: Send + 'static>(
    driver: &Arc<dyn Driver>,
    question: impl FnOnce(&dyn Driver) -> Result<T, DriverError> + Send + 'static,
) -> Result<T, DriverError> {
    let driver = Arc::clone(driver);
    tokio::task::spawn_blocking(move || question(&*driver))
        .await
        .unwrap_or_else(|error| Err(DriverError::failed("the driver gave no answer", error)))
}
