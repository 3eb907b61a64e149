//! The kind of machine: its name, its flags and how they become a machine.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use berth_provisioners_api::{
    Driver, DriverError, FlagSpec, FlagValues, Machine, MachineContext, Orphan,
};
use serde_json::Value;

use crate::config::{self, SandboxConfig};
use crate::failure::Doing as _;
use crate::host::HostMachine;
use crate::machine::SandboxMachine;
use crate::orphans;

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

#[async_trait]
impl Driver for SandboxDriver {
    fn name(&self) -> &str {
        NAME
    }

    fn flags(&self) -> Result<Vec<FlagSpec>, DriverError> {
        Ok(config::flags())
    }

    fn is_local(&self) -> bool {
        true
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

    fn finds_orphans(&self) -> bool {
        true
    }

    async fn orphans(
        &self,
        store_root: &Path,
        known: &(dyn for<'name> Fn(&'name str) -> bool + Send + Sync),
    ) -> Result<Vec<Orphan>, DriverError> {
        let store = store_root.to_owned();
        let mut tagged = on_host(move || orphans::of_store(&store)).await?;
        // Asked after the tags were read: a machine is in its store before it has any.
        tagged.retain(|machine| !known(&machine.name));
        on_host(move || {
            let examined = tagged.into_iter().map(orphans::Tagged::examine);
            examined.filter_map(Result::transpose).collect()
        })
        .await
    }
}

/// Does something that waits, where waiting holds up nobody.
async fn on_host<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DriverError> + Send + 'static,
) -> Result<T, DriverError> {
    tokio::task::spawn_blocking(work)
        .await
        .doing(|| "cannot finish work on this host".to_owned())?
}
