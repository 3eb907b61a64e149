//! A machine whose driver knows secrets that nobody else shall see.
//!
//! They are looked up before the first call that may have to reach the provider. What the record
//! says is answered without them: address and certificates are of use also to whoever lacks them.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use berth_provisioners_api::{
    Driver, DriverError, Journal, JournalError, Machine, MachineContext, MachineState, Restart,
    SshEndpoint,
};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::list::chain;
use crate::secret::{self, Secrets};

/// Passes everything on to the driver, and takes the secrets out of what comes back.
#[derive(Debug)]
pub(crate) struct Veiled {
    /// As its record has it, or with its secrets when nothing is sealed.
    first: Open,
    sealed: Option<Sealed>,
    opened: OnceCell<Open>,
}

/// What a machine is loaded from, with references in the place of secrets.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) context: MachineContext,
    pub(crate) config: Value,
    /// By flag.
    pub(crate) references: BTreeMap<String, String>,
}

/// A machine with the secrets that its driver knows.
#[derive(Debug)]
struct Open {
    machine: Box<dyn Machine>,
    secrets: Secrets,
}

/// A journal that never sees a secret.
struct VeiledJournal<'a> {
    journal: &'a dyn Journal,
    secrets: &'a Secrets,
}

/// Returns `machine`, whose driver knows `secrets`, behind a veil.
pub(crate) fn veil(machine: Box<dyn Machine>, secrets: Secrets) -> Box<dyn Machine> {
    Box::new(Veiled {
        first: Open { machine, secrets },
        sealed: None,
        opened: OnceCell::new(),
    })
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

// === impl Sealed ===

impl Sealed {
    /// Returns the machine, behind a veil where it has secrets.
    pub(crate) fn load(self) -> Result<Box<dyn Machine>, DriverError> {
        let machine = self.driver.load(&self.context, self.config.clone())?;
        if self.references.is_empty() {
            return Ok(machine);
        }
        Ok(Box::new(Veiled {
            first: Open {
                machine,
                secrets: Secrets::default(),
            },
            sealed: Some(self),
            opened: OnceCell::new(),
        }))
    }

    async fn open(&self) -> Result<Open, DriverError> {
        let secrets = secret::look_up(&self.references).await.map_err(|error| {
            let hint = error.hint();
            let name = &self.context.name;
            let error =
                DriverError::failed(format!("secrets of machine {name} are missing"), error);
            match hint {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        })?;
        let mut config = self.config.clone();
        secrets.reveal(&mut config);
        let loaded = self.driver.load(&self.context, config);
        let machine = loaded.map_err(|error| clean(error, &secrets))?;
        Ok(Open { machine, secrets })
    }
}

// === impl Open ===

impl Open {
    fn clean<T>(&self, result: Result<T, DriverError>) -> Result<T, DriverError> {
        result.map_err(|error| clean(error, &self.secrets))
    }
}

// === impl Veiled ===

impl Veiled {
    /// Returns the machine as far as it is known by now.
    fn known(&self) -> &Open {
        self.opened.get().unwrap_or(&self.first)
    }

    /// Returns the machine with its secrets, which are looked up once.
    async fn open(&self) -> Result<&Open, DriverError> {
        match &self.sealed {
            Some(sealed) => self.opened.get_or_try_init(|| sealed.open()).await,
            None => Ok(&self.first),
        }
    }

    async fn open_mut(&mut self) -> Result<&mut Open, DriverError> {
        self.open().await?;
        Ok(self.opened.get_mut().unwrap_or(&mut self.first))
    }

    /// Returns the machine for what its record may say already.
    async fn facts(&self) -> Result<&Open, DriverError> {
        let known = self.known();
        if known.machine.facts_are_at_hand() {
            return Ok(known);
        }
        self.open().await
    }
}

#[async_trait]
impl Machine for Veiled {
    fn config(&self) -> Value {
        let known = self.known();
        let mut config = known.machine.config();
        known.secrets.veil(&mut config);
        config
    }

    async fn pre_create_check(&self) -> Result<(), DriverError> {
        let open = self.open().await?;
        open.clean(open.machine.pre_create_check().await)
    }

    async fn create(&mut self, journal: &dyn Journal) -> Result<(), DriverError> {
        let open = self.open_mut().await?;
        let veiled = VeiledJournal {
            journal,
            secrets: &open.secrets,
        };
        let result = open.machine.create(&veiled).await;
        open.clean(result)
    }

    async fn state(&self) -> Result<MachineState, DriverError> {
        let open = self.open().await?;
        open.clean(open.machine.state().await)
    }

    fn state_is_at_hand(&self) -> bool {
        self.known().machine.state_is_at_hand()
    }

    fn facts_are_at_hand(&self) -> bool {
        self.known().machine.facts_are_at_hand()
    }

    async fn prepare(&self) -> Result<(), DriverError> {
        let open = self.open().await?;
        open.clean(open.machine.prepare().await)
    }

    async fn start(&mut self) -> Result<(), DriverError> {
        let open = self.open_mut().await?;
        let result = open.machine.start().await;
        open.clean(result)
    }

    async fn stop(&mut self) -> Result<(), DriverError> {
        let open = self.open_mut().await?;
        let result = open.machine.stop().await;
        open.clean(result)
    }

    async fn restart(&mut self) -> Result<Restart, DriverError> {
        let open = self.open_mut().await?;
        let result = open.machine.restart().await;
        open.clean(result)
    }

    async fn kill(&mut self) -> Result<(), DriverError> {
        let open = self.open_mut().await?;
        let result = open.machine.kill().await;
        open.clean(result)
    }

    async fn remove(&mut self) -> Result<(), DriverError> {
        let open = self.open_mut().await?;
        let result = open.machine.remove().await;
        open.clean(result)
    }

    async fn ip(&self) -> Result<String, DriverError> {
        let open = self.facts().await?;
        open.clean(open.machine.ip().await)
    }

    async fn ssh_endpoint(&self) -> Result<SshEndpoint, DriverError> {
        let open = self.facts().await?;
        open.clean(open.machine.ssh_endpoint().await)
    }

    fn was_there_before(&self) -> bool {
        self.known().machine.was_there_before()
    }

    fn takes_agent(&self) -> bool {
        self.known().machine.takes_agent()
    }

    fn engine_port(&self) -> u16 {
        self.known().machine.engine_port()
    }

    async fn engine_url(&self) -> Result<String, DriverError> {
        let open = self.facts().await?;
        open.clean(open.machine.engine_url().await)
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
