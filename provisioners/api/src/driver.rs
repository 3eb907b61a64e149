//! A kind of machine.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

use crate::{DriverError, FlagSpec, FlagValues, Machine};

/// Where a machine lives in the store, and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineContext {
    /// The name that the operator gave, already checked.
    pub name: String,
    /// The machine's own directory; it exists, is private, and vanishes after
    /// [`Machine::remove`]. The driver keeps its keys and files here.
    pub directory: PathBuf,
    /// The root of the store.
    pub store_root: PathBuf,
}

/// A kind of machine: its name, its flags, and how to get one.
pub trait Driver: fmt::Debug + Send + Sync {
    /// Returns the name by which `--driver` chooses it.
    fn name(&self) -> &str;

    /// Returns the flags that `create` takes for this driver.
    fn flags(&self) -> Vec<FlagSpec>;

    /// Returns a machine that does not exist yet, configured by flags.
    ///
    /// `flags` holds a value for each of [`Driver::flags`]. Nothing is made or asked outside this
    /// process.
    ///
    /// # Errors
    ///
    /// [`DriverError::Flag`] when a value is missing or makes no sense.
    fn configure(
        &self,
        context: &MachineContext,
        flags: &FlagValues,
    ) -> Result<Box<dyn Machine>, DriverError>;

    /// Returns the machine that `config` describes, as [`Machine::config`] returned it earlier.
    ///
    /// Unknown keys in `config` are kept, missing ones take their default.
    ///
    /// # Errors
    ///
    /// [`DriverError::Config`] when the configuration is not one of this driver's.
    fn load(
        &self,
        context: &MachineContext,
        config: Value,
    ) -> Result<Box<dyn Machine>, DriverError>;
}
