//! The kind of machine: its name, its flags and how they become a configuration.

use std::path::PathBuf;

use berth_provisioners_api::{Driver, DriverError, FlagSpec, FlagValues, Machine, MachineContext};
use serde_json::Value;

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
}

impl Driver for SandboxDriver {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn flags(&self) -> Vec<FlagSpec> {
        Vec::new()
    }

    fn configure(
        &self,
        _context: &MachineContext,
        _flags: &FlagValues,
    ) -> Result<Box<dyn Machine>, DriverError> {
        let _ = &self.executable;
        Err(DriverError::refused("cannot configure yet"))
    }

    fn load(
        &self,
        _context: &MachineContext,
        _config: Value,
    ) -> Result<Box<dyn Machine>, DriverError> {
        Err(DriverError::refused("cannot load yet"))
    }
}
