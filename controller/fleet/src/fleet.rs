//! The fleet, and what can be said of a machine without asking it.

use std::path::{Path, PathBuf};

use berth_controller_store::{CertPaths, LoadError, MachineName, MachineRecord, NameError, Store};
use berth_provisioners_api::{
    Driver, DriverError, FlagSpec, Machine, MachineContext, MachineState, Registry,
};
use serde_json::Value;

use crate::veil::Sealed;

/// All machines of one store.
#[derive(Clone, Debug)]
pub struct Fleet {
    pub(crate) store: Store,
    pub(crate) drivers: Registry,
    pub(crate) agent_path: Option<PathBuf>,
    pub(crate) sudo: crate::Sudo,
}

/// A machine cannot be worked with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// No machine can have this name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is no such machine.
    #[error("machine {0:?} does not exist")]
    Absent(String),
    /// Its creation was cut off.
    #[error("machine {0:?} is not complete: its creation was cut off")]
    Incomplete(String),
    /// Its removal was cut off.
    #[error("machine {0:?} is half removed: its removal was cut off")]
    HalfRemoved(String),
    /// Its record cannot be read.
    #[error("record of machine {machine:?} cannot be read")]
    Record {
        /// The machine.
        machine: String,
        /// Why.
        #[source]
        source: LoadError,
    },
    /// This berth has no such driver.
    #[error("driver {driver:?} not found")]
    NoDriver {
        /// The driver.
        driver: String,
        /// The drivers that there are.
        known: String,
    },
    /// The driver refused.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A secret of the driver is not where it should be.
    #[error(transparent)]
    Secret(#[from] crate::SecretError),
}

/// What a shell needs to speak to a machine's engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFacts {
    /// The machine's name, for `DOCKER_MACHINE_NAME`.
    pub name: String,
    /// The engine's address, for `DOCKER_HOST`.
    pub url: String,
    /// The directory with `ca.pem`, `cert.pem` and `key.pem`, for `DOCKER_CERT_PATH`.
    pub cert_path: PathBuf,
    /// The machine's address, for `NO_PROXY`.
    pub ip: String,
}

/// A machine with its record and its driver's side of it.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) record: MachineRecord,
    pub(crate) machine: Box<dyn Machine>,
}

impl Fleet {
    /// Opens the fleet whose store is at `root`.
    ///
    /// # Errors
    ///
    /// When the store's directories cannot be made.
    pub fn open(root: &Path, drivers: Registry) -> Result<Self, berth_controller_store::OpenError> {
        Ok(Self {
            store: Store::open(root)?,
            drivers,
            agent_path: None,
            sudo: crate::Sudo::default(),
        })
    }

    /// Installs the agent's executable at `path` on machines, instead of the one that
    /// [`berth_controller_provision::AgentBinary::find`] finds.
    #[must_use]
    pub fn with_agent(mut self, path: &Path) -> Self {
        self.agent_path = Some(path.to_owned());
        self
    }

    /// Takes the authority and the client's certificate from other files than the store's own.
    #[must_use]
    pub fn with_certs(mut self, certs: CertPaths) -> Self {
        self.store = self.store.with_certs(certs);
        self
    }

    /// Becomes root on hosts with passwords from `sudo` where one is needed.
    #[must_use]
    pub fn with_sudo(mut self, sudo: crate::Sudo) -> Self {
        self.sudo = sudo;
        self
    }

    /// Returns the store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the drivers.
    #[must_use]
    pub fn drivers(&self) -> &Registry {
        &self.drivers
    }

    /// Makes the operator's authority and client certificate when they are missing.
    ///
    /// # Errors
    ///
    /// When they cannot be made or used.
    pub fn ensure_authority(&self) -> Result<(), crate::CredentialsError> {
        crate::certificates::authority(&self.store).map(drop)
    }

    /// Returns the flags of a driver.
    ///
    /// # Errors
    ///
    /// [`MachineError::NoDriver`], and whatever a plugin does wrong when it is asked.
    pub fn driver_flags(&self, driver: &str) -> Result<Vec<FlagSpec>, MachineError> {
        Ok(self.driver(driver)?.flags()?)
    }

    /// Returns the names of all machines, complete or not, sorted.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn names(&self) -> Result<Vec<String>, berth_controller_store::OpenError> {
        Ok(self.store.list()?.iter().map(ToString::to_string).collect())
    }

    /// Returns whether there is such a machine, complete or not.
    #[must_use]
    pub fn exists(&self, name: &str) -> bool {
        name.parse::<MachineName>()
            .is_ok_and(|name| self.store.exists(&name))
    }

    /// Returns the machine's record as docker-machine's tools read it.
    ///
    /// # Errors
    ///
    /// When there is no such machine or its record cannot be read.
    pub fn inspect(&self, name: &str) -> Result<Value, MachineError> {
        Ok(self.record(name)?.config.view())
    }

    /// Returns what the machine is doing.
    ///
    /// # Errors
    ///
    /// When there is no such machine or the driver cannot tell.
    pub async fn state(&self, name: &str) -> Result<MachineState, MachineError> {
        Ok(self.load(name)?.machine.state().await?)
    }

    /// Returns the machine's address.
    ///
    /// # Errors
    ///
    /// When there is no such machine or it has none.
    pub async fn ip(&self, name: &str) -> Result<String, MachineError> {
        Ok(self.load(name)?.machine.ip().await?)
    }

    /// Returns the engine's address, `tcp://address:port`.
    ///
    /// # Errors
    ///
    /// When there is no such machine or it has none.
    pub async fn url(&self, name: &str) -> Result<String, MachineError> {
        Ok(self.load(name)?.machine.engine_url().await?)
    }

    /// Returns what a shell needs to speak to the machine's engine.
    ///
    /// # Errors
    ///
    /// When there is no such machine, it is not complete, or has no address.
    pub async fn env_facts(&self, name: &str) -> Result<EnvFacts, MachineError> {
        let loaded = self.load(name)?;
        loaded.require_complete()?;
        Ok(EnvFacts {
            name: name.to_owned(),
            url: loaded.machine.engine_url().await?,
            cert_path: self.store.machine(&loaded.record.name).directory,
            ip: loaded.machine.ip().await?,
        })
    }

    pub(crate) fn driver(&self, name: &str) -> Result<std::sync::Arc<dyn Driver>, MachineError> {
        self.drivers
            .get(name)
            .ok_or_else(|| MachineError::NoDriver {
                driver: name.to_owned(),
                known: self.drivers.names().collect::<Vec<_>>().join(", "),
            })
    }

    pub(crate) fn record(&self, name: &str) -> Result<MachineRecord, MachineError> {
        // A name that no machine can have is, to whoever asks for one, just an absent machine.
        let checked: MachineName = name
            .parse()
            .map_err(|_error: NameError| MachineError::Absent(name.to_owned()))?;
        self.store.load(&checked).map_err(|source| match source {
            LoadError::Absent(_) => MachineError::Absent(name.to_owned()),
            LoadError::Empty(_) => MachineError::Incomplete(name.to_owned()),
            source => MachineError::Record {
                machine: name.to_owned(),
                source,
            },
        })
    }

    pub(crate) fn load(&self, name: &str) -> Result<Loaded, MachineError> {
        let record = self.record(name)?;
        let machine = self.machine(&record)?;
        Ok(Loaded { record, machine })
    }

    /// Returns the driver's side of a machine whose record has been read.
    pub(crate) fn machine(&self, record: &MachineRecord) -> Result<Box<dyn Machine>, MachineError> {
        let driver = self.driver(record.config.driver_name())?;
        let sealed = Sealed {
            driver,
            context: self.context(&record.name),
            config: record.config.driver().clone(),
            references: record.side.secrets.clone(),
        };
        Ok(sealed.load()?)
    }

    pub(crate) fn context(&self, name: &MachineName) -> MachineContext {
        MachineContext {
            name: name.to_string(),
            directory: self.store.machine(name).directory,
            store_root: self.store.root().to_owned(),
        }
    }
}

impl Loaded {
    /// Like [`Loaded::require_complete`], for what makes something of a machine: one that is half
    /// removed can only be removed.
    pub(crate) fn require_whole(&self) -> Result<(), MachineError> {
        if self.record.side.progress == berth_controller_store::Progress::Removing {
            return Err(MachineError::HalfRemoved(self.record.name.to_string()));
        }
        self.require_complete()
    }

    pub(crate) fn require_complete(&self) -> Result<(), MachineError> {
        if self.record.side.progress == berth_controller_store::Progress::Creating {
            return Err(MachineError::Incomplete(self.record.name.to_string()));
        }
        Ok(())
    }
}

impl MachineError {
    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Absent(_) => Some(
                "berth machine ls lists the machines, berth machine create adds one".to_owned(),
            ),
            Self::Incomplete(name) => Some(format!(
                "berth machine resume {name} goes on, or the same berth machine create again; berth \
                 machine rm {name} takes it back"
            )),
            Self::HalfRemoved(name) => Some(format!("berth machine rm {name} ends it")),
            Self::NoDriver { driver, known } => Some(format!(
                "drivers of this berth: {known}; for another, put its plugin \
                 docker-machine-driver-{driver} into a folder of PATH"
            )),
            Self::Driver(error) => error.hint().map(ToOwned::to_owned),
            Self::Secret(error) => error.hint(),
            Self::Record { source, .. } => source.hint(),
            Self::Name(_) => None,
        }
    }
}
