//! The kind of machine: its name, its flags and how they become a machine.

use std::path::PathBuf;

use berth_provisioners_api::{Driver, DriverError, FlagSpec, FlagValues, Machine, MachineContext};
use serde_json::Value;

use crate::config::{self, SandboxConfig};
use crate::host::HostMachine;
use crate::machine::SandboxMachine;

/// What `--driver` calls it.
pub(crate) const NAME: &str = "sandbox";

/// Makes machines out of this host.
#[derive(Clone, Debug, Default)]
pub struct SandboxDriver {
    executable: Option<PathBuf>,
}

impl SandboxDriver {
    /// Returns the driver for a program whose `main` calls [`crate::run_if_internal`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the driver for a program whose `main` is not its own, such as a test: `executable`
    /// is one that calls [`crate::run_if_internal`].
    #[must_use]
    pub fn with_executable(executable: impl Into<PathBuf>) -> Self {
        Self {
            executable: Some(executable.into()),
        }
    }

    fn machine(&self, context: &MachineContext, config: SandboxConfig) -> Box<dyn Machine> {
        Box::new(SandboxMachine::new(HostMachine {
            config,
            directory: context.directory.clone(),
            executable: self.executable.clone(),
        }))
    }
}

impl Driver for SandboxDriver {
    fn name(&self) -> &str {
        NAME
    }

    fn flags(&self) -> Result<Vec<FlagSpec>, DriverError> {
        Ok(config::flags())
    }

    fn configure(
        &self,
        context: &MachineContext,
        flags: &FlagValues,
    ) -> Result<Box<dyn Machine>, DriverError> {
        let config = SandboxConfig::from_flags(context, flags)?;
        Ok(self.machine(context, config))
    }

    fn load(
        &self,
        context: &MachineContext,
        config: Value,
    ) -> Result<Box<dyn Machine>, DriverError> {
        let unreadable = |source| DriverError::Config {
            machine: context.name.clone(),
            source,
        };
        let config: SandboxConfig =
            serde_json::from_value(config).map_err(|error| unreadable(error.into()))?;
        if !config.id.is_well_formed() {
            return Err(unreadable("its identity has another form".into()));
        }
        Ok(self.machine(context, config))
    }
}
