//! A machine whose driver knows secrets that nobody else shall see.

use async_trait::async_trait;
use berth_provisioners_api::{
    DriverError, Journal, JournalError, Machine, MachineState, Restart, SshEndpoint,
};
use serde_json::Value;

use crate::list::chain;
use crate::secret::Secrets;

/// Passes everything on to the driver, and takes the secrets out of what comes back.
#[derive(Debug)]
pub(crate) struct Veiled {
    machine: Box<dyn Machine>,
    secrets: Secrets,
}

/// A journal that never sees a secret.
struct VeiledJournal<'a> {
    journal: &'a dyn Journal,
    secrets: &'a Secrets,
}

/// Returns `machine` behind a veil, where there is something to hide.
pub(crate) fn veil(machine: Box<dyn Machine>, secrets: Secrets) -> Box<dyn Machine> {
    if secrets.is_empty() {
        return machine;
    }
    Box::new(Veiled { machine, secrets })
}

/// Returns a driver's error without secrets.
pub(crate) fn clean(error: DriverError, secrets: &Secrets) -> DriverError {
    match secrets.veiled(&chain(&error)) {
        Some(text) => {
            let hint = error
                .hint()
                .map(|hint| secrets.veiled(hint).unwrap_or_else(|| hint.to_owned()));
            let cleaned = DriverError::refused(text);
            match hint {
                Some(hint) => cleaned.with_hint(hint),
                None => cleaned,
            }
        }
        None => error,
    }
}

impl Veiled {
    fn clean<T>(&self, result: Result<T, DriverError>) -> Result<T, DriverError> {
        result.map_err(|error| clean(error, &self.secrets))
    }
}

#[async_trait]
impl Machine for Veiled {
    fn config(&self) -> Value {
        let mut config = self.machine.config();
        self.secrets.veil(&mut config);
        config
    }

    async fn pre_create_check(&self) -> Result<(), DriverError> {
        self.clean(self.machine.pre_create_check().await)
    }

    async fn create(&mut self, journal: &dyn Journal) -> Result<(), DriverError> {
        let veiled = VeiledJournal {
            journal,
            secrets: &self.secrets,
        };
        let result = self.machine.create(&veiled).await;
        self.clean(result)
    }

    async fn state(&self) -> Result<MachineState, DriverError> {
        self.clean(self.machine.state().await)
    }

    fn state_is_at_hand(&self) -> bool {
        self.machine.state_is_at_hand()
    }

    async fn start(&mut self) -> Result<(), DriverError> {
        let result = self.machine.start().await;
        self.clean(result)
    }

    async fn stop(&mut self) -> Result<(), DriverError> {
        let result = self.machine.stop().await;
        self.clean(result)
    }

    async fn restart(&mut self) -> Result<Restart, DriverError> {
        let result = self.machine.restart().await;
        self.clean(result)
    }

    async fn kill(&mut self) -> Result<(), DriverError> {
        let result = self.machine.kill().await;
        self.clean(result)
    }

    async fn remove(&mut self) -> Result<(), DriverError> {
        let result = self.machine.remove().await;
        self.clean(result)
    }

    async fn ip(&self) -> Result<String, DriverError> {
        self.clean(self.machine.ip().await)
    }

    async fn ssh_endpoint(&self) -> Result<SshEndpoint, DriverError> {
        self.clean(self.machine.ssh_endpoint().await)
    }

    fn was_there_before(&self) -> bool {
        self.machine.was_there_before()
    }

    fn takes_agent(&self) -> bool {
        self.machine.takes_agent()
    }

    fn engine_port(&self) -> u16 {
        self.machine.engine_port()
    }

    async fn engine_url(&self) -> Result<String, DriverError> {
        self.clean(self.machine.engine_url().await)
    }
}

impl Journal for VeiledJournal<'_> {
    fn step(&self, step: &str, config: &Value) -> Result<(), JournalError> {
        let mut config = config.clone();
        self.secrets.veil(&mut config);
        self.journal.step(step, &config)
    }

    fn say(&self, message: &str) {
        let veiled = self.secrets.veiled(message);
        self.journal.say(veiled.as_deref().unwrap_or(message));
    }
}
