//! Making a machine.

use berth_controller_store::EngineOptions;
use berth_provisioners_api::{DriverError, FlagValues};

use crate::{CredentialsError, Fleet, MachineError, Progress, ProvisionError};

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
    Locked(#[from] berth_controller_store::LockError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] berth_controller_store::WriteError),
    /// The authority cannot be made or used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
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
    /// The machine is there, but the agent is not on it.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
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
        progress.step(&request.name, "");
        todo!()
    }
}
