//! Where machines are made for a check, and how they go away afterwards.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use berth_provisioners_api::{Driver, DriverError, FlagValues, Machine, MachineContext};
use tempfile::TempDir;

use crate::{RecordingJournal, Remote};

/// A private store for the machines of one check.
#[derive(Debug)]
pub struct Bench {
    driver: Arc<dyn Driver>,
    flags: FlagValues,
    store: TempDir,
}

/// A machine on the bench; what exists of it is removed when this is dropped.
#[derive(Debug)]
pub struct Subject {
    driver: Arc<dyn Driver>,
    context: MachineContext,
    /// The machine.
    pub machine: Box<dyn Machine>,
    /// What the driver recorded of it.
    pub journal: RecordingJournal,
    removed: bool,
}

impl Bench {
    /// Returns a bench for machines of `driver` with `flags`.
    ///
    /// # Errors
    ///
    /// When there is no room for a temporary store.
    pub fn new(driver: Arc<dyn Driver>, flags: FlagValues) -> Result<Self> {
        let store = tempfile::Builder::new()
            .prefix("berth-conformance-")
            .tempdir()
            .context("cannot make a temporary store")?;
        Ok(Self {
            driver,
            flags,
            store,
        })
    }

    /// Returns a machine that does not exist yet.
    ///
    /// # Errors
    ///
    /// When the driver refuses the flags.
    pub fn subject(&self, name: &str) -> Result<Subject> {
        let store_root = self.store.path().to_owned();
        let directory: PathBuf = store_root.join("machines").join(name);
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make directory {}", directory.display()))?;
        let context = MachineContext {
            name: name.to_owned(),
            directory,
            store_root,
        };
        let machine = self.driver.configure(&context, &self.flags)?;
        Ok(Subject {
            driver: Arc::clone(&self.driver),
            context,
            machine,
            journal: RecordingJournal::default(),
            removed: false,
        })
    }
}

impl Subject {
    /// Creates the machine.
    ///
    /// # Errors
    ///
    /// As [`Machine::create`].
    pub async fn create(&mut self) -> Result<(), DriverError> {
        self.removed = false;
        self.machine.create(&self.journal).await
    }

    /// Forgets the machine and loads it again, as a later process would.
    ///
    /// # Errors
    ///
    /// As [`Driver::load`].
    pub fn reload(&mut self) -> Result<(), DriverError> {
        let config = self.machine.config();
        self.machine = self.driver.load(&self.context, config)?;
        Ok(())
    }

    /// Forgets the machine and loads it from what the journal got last, as after a crash.
    ///
    /// # Errors
    ///
    /// As [`Driver::load`].
    pub fn recover(&mut self) -> Result<(), DriverError> {
        if let Some(config) = self.journal.last_config() {
            self.machine = self.driver.load(&self.context, config)?;
        }
        Ok(())
    }

    /// Removes the machine.
    ///
    /// # Errors
    ///
    /// As [`Machine::remove`].
    pub async fn remove(&mut self) -> Result<(), DriverError> {
        self.machine.remove().await?;
        self.removed = true;
        Ok(())
    }

    /// Returns a way to run commands on the machine.
    ///
    /// # Errors
    ///
    /// When the machine has no address.
    pub async fn remote(&self) -> Result<Remote> {
        Ok(Remote::new(self.machine.ssh_endpoint().await?))
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        // The runtime of the failed test cannot wait here; another one, in a thread of its own, can.
        let machine = &mut self.machine;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                // The test has failed already; this is best effort.
                let _result = runtime.map(|runtime| runtime.block_on(machine.remove()));
            });
        });
    }
}
