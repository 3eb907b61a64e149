//! A kind of machine.

use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde_json::Value;

use crate::{DriverError, FlagSpec, FlagValues, Machine, Orphan};

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
#[async_trait]
pub trait Driver: fmt::Debug + Send + Sync {
    /// Returns the name by which `--driver` chooses it.
    fn name(&self) -> &str;

    /// Returns the flags that `create` takes for this driver.
    ///
    /// # Errors
    ///
    /// When they have to be asked for elsewhere, as those of a plugin, and that fails.
    fn flags(&self) -> Result<Vec<FlagSpec>, DriverError>;

    /// Returns whether its machines live on the computer of their operator, so that nobody can
    /// start or stop them from another one.
    fn is_local(&self) -> bool {
        false
    }

    /// Returns a machine that does not exist yet, configured by flags.
    ///
    /// `flags` holds a value for each of [`Driver::flags`], and may hold the shared flags of
    /// `create` under their docker-machine names. Nothing is made.
    ///
    /// # Errors
    ///
    /// [`DriverError::Flag`] when a value is missing or makes no sense; anything when the driver is
    /// a plugin that does not work.
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

    /// Returns whether [`Driver::orphans`] finds what is left: whether everything that the driver
    /// makes is tagged.
    fn finds_orphans(&self) -> bool {
        false
    }

    /// Finds what is left of machines that belonged to the store at `store_root` and that it does
    /// not know any more: `known` tells whether there is a machine of that name.
    ///
    /// Nothing is changed, and what belongs to other stores is never returned. A driver that does
    /// not tag what it makes finds nothing.
    ///
    /// # Errors
    ///
    /// When the driver cannot look everywhere.
    async fn orphans(
        &self,
        _store_root: &Path,
        _known: &(dyn for<'name> Fn(&'name str) -> bool + Send + Sync),
    ) -> Result<Vec<Orphan>, DriverError> {
        Ok(Vec::new())
    }
}
