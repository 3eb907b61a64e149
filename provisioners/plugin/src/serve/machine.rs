//! The machine that a host means: a configuration first, and a machine once that is complete.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use berth_provisioners_api::{
    Driver, DriverError, FlagSpec, FlagValues, Journal, JournalError, Machine, MachineContext,
    MachineState, Restart, SshEndpoint,
};
use serde_json::{Value, json};
use tokio::sync::{RwLock, RwLockMappedWriteGuard, RwLockReadGuard, RwLockWriteGuard};

use super::{Reboot, say, tell};
use crate::json;

/// A driver and one machine of it.
pub(super) struct Served {
    driver: Arc<dyn Driver>,
    reboot: Reboot,
    /// As the host gave it last, or the machine wrote it down.
    config: Mutex<Value>,
    machine: RwLock<Option<Box<dyn Machine>>>,
}

/// Keeps the newest configuration where the host can ask for it in the middle of a creation.
struct Steps<'a> {
    config: &'a Mutex<Value>,
}

// === impl Steps ===

impl Journal for Steps<'_> {
    fn step(&self, step: &str, config: &Value) -> Result<(), JournalError> {
        config.clone_into(&mut lock(self.config));
        tell(&format!("Step {step}\n"));
        Ok(())
    }

    fn say(&self, message: &str) {
        say(message);
    }
}

fn lock(config: &Mutex<Value>) -> MutexGuard<'_, Value> {
    config.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error with its causes and what to do, on one line.
fn told(error: DriverError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    match error.hint() {
        Some(hint) => format!("{text} ({hint})"),
        None => text,
    }
}

// === impl Served ===

impl Served {
    pub(super) fn new(driver: Arc<dyn Driver>, reboot: Reboot) -> Self {
        Self {
            driver,
            reboot,
            config: Mutex::new(json!({})),
            machine: RwLock::new(None),
        }
    }

    pub(super) fn driver_name(&self) -> String {
        self.driver.name().to_owned()
    }

    pub(super) fn flags(&self) -> Result<Vec<FlagSpec>, String> {
        self.driver.flags().map_err(told)
    }

    pub(super) async fn set_config(&self, bytes: &[u8]) -> Result<(), String> {
        let config =
            json::read(bytes).map_err(|error| format!("the configuration is no JSON: {error}"))?;
        if !config.is_object() {
            return Err("the configuration is no JSON object".to_owned());
        }
        *self.machine.write().await = None;
        *lock(&self.config) = config;
        Ok(())
    }

    pub(super) fn config(&self) -> Vec<u8> {
        json::write(&lock(&self.config))
    }

    fn text(&self, key: &str) -> String {
        let config = lock(&self.config);
        config[key].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn machine_name(&self) -> String {
        self.text("MachineName")
    }

    fn context(&self) -> MachineContext {
        let store_root = PathBuf::from(self.text("StorePath"));
        let name = self.machine_name();
        MachineContext {
            directory: store_root.join("machines").join(&name),
            name,
            store_root,
        }
    }

    pub(super) async fn configure(&self, given: &FlagValues) -> Result<(), String> {
        // Drivers count on a value for each of their flags; a host may know an older list.
        let mut flags = FlagValues::defaults(&self.flags()?);
        for (name, value) in given.iter() {
            flags.set(name, value.clone());
        }
        let configured = self.driver.configure(&self.context(), &flags);
        self.keep(&mut *self.machine.write().await, configured.map_err(told)?);
        Ok(())
    }

    fn keep(&self, place: &mut Option<Box<dyn Machine>>, machine: Box<dyn Machine>) {
        *lock(&self.config) = machine.config();
        *place = Some(machine);
    }

    /// Makes sure that the machine of the configuration is there.
    async fn load(&self) -> Result<(), String> {
        let mut place = self.machine.write().await;
        if place.is_none() {
            let config = lock(&self.config).clone();
            let machine = self.driver.load(&self.context(), config).map_err(told)?;
            *place = Some(machine);
        }
        Ok(())
    }

    async fn read(&self) -> Result<RwLockReadGuard<'_, Box<dyn Machine>>, String> {
        if self.machine.read().await.is_none() {
            self.load().await?;
        }
        let place = self.machine.read().await;
        RwLockReadGuard::try_map(place, Option::as_ref).map_err(|_none| changed())
    }

    async fn write(&self) -> Result<RwLockMappedWriteGuard<'_, Box<dyn Machine>>, String> {
        self.load().await?;
        let place = self.machine.write().await;
        RwLockWriteGuard::try_map(place, Option::as_mut).map_err(|_none| changed())
    }

    /// Ends a call that has changed the machine.
    fn done<T>(&self, machine: &dyn Machine, result: Result<T, DriverError>) -> Result<T, String> {
        *lock(&self.config) = machine.config();
        result.map_err(told)
    }

    pub(super) async fn ip(&self) -> Result<String, String> {
        self.read().await?.ip().await.map_err(told)
    }

    pub(super) async fn url(&self) -> Result<String, String> {
        self.read().await?.engine_url().await.map_err(told)
    }

    pub(super) async fn ssh(&self) -> Result<SshEndpoint, String> {
        self.read().await?.ssh_endpoint().await.map_err(told)
    }

    pub(super) async fn state(&self) -> Result<i64, String> {
        let state = self.read().await?.state().await.map_err(told)?;
        Ok(match state {
            MachineState::NotFound => 0,
            MachineState::Running => 1,
            MachineState::Paused => 2,
            MachineState::Saved => 3,
            MachineState::Stopped => 4,
            MachineState::Stopping => 5,
            MachineState::Starting => 6,
            MachineState::Error => 7,
        })
    }

    pub(super) async fn check(&self) -> Result<(), String> {
        self.read().await?.pre_create_check().await.map_err(told)
    }

    pub(super) async fn create(&self) -> Result<(), String> {
        let mut machine = self.write().await?;
        let steps = Steps {
            config: &self.config,
        };
        let made = machine.create(&steps).await;
        self.done(&**machine, made)
    }

    pub(super) async fn remove(&self) -> Result<(), String> {
        let mut machine = self.write().await?;
        let removed = machine.remove().await;
        self.done(&**machine, removed)
    }

    pub(super) async fn start(&self) -> Result<(), String> {
        let mut machine = self.write().await?;
        let started = machine.start().await;
        self.done(&**machine, started)
    }

    pub(super) async fn stop(&self) -> Result<(), String> {
        let mut machine = self.write().await?;
        let stopped = machine.stop().await;
        self.done(&**machine, stopped)
    }

    pub(super) async fn kill(&self) -> Result<(), String> {
        let mut machine = self.write().await?;
        let killed = machine.kill().await;
        self.done(&**machine, killed)
    }

    pub(super) async fn restart(&self) -> Result<(), String> {
        let mut machine = self.write().await?;
        let restarted = machine.restart().await;
        match self.done(&**machine, restarted)? {
            Restart::Done => Ok(()),
            Restart::AskHost => {
                let endpoint = machine.ssh_endpoint().await.map_err(told)?;
                (self.reboot)(endpoint).await
            }
        }
    }
}

fn changed() -> String {
    "the host changed the configuration meanwhile".to_owned()
}

impl fmt::Debug for Served {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Served")
            .field("driver", &self.driver)
            .finish_non_exhaustive()
    }
}
