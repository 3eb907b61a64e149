//! One machine of a plugin's driver.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use berth_provisioners_api::{
    DriverError, Journal, Machine, MachineContext, MachineState, Restart, SshEndpoint,
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::error::PluginError;
use crate::facts::{Facts, Record};
use crate::gob::Body;
use crate::host::{Label, Session, thread};
use crate::lookup::Plugin;

/// How long a machine may take to get into a state after its driver said that it will.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long to wait before asking again for a state that nothing announces.
pub(crate) const PAUSE: Duration = Duration::from_millis(500);

/// One machine, and its plugin's process while that is needed.
#[derive(Debug)]
pub(crate) struct PluginMachine {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) context: MachineContext,
    record: Mutex<Record>,
    session: tokio::sync::Mutex<Option<Arc<Session>>>,
}

// === impl PluginMachine ===

impl PluginMachine {
    pub(crate) fn new(plugin: &Arc<Plugin>, context: &MachineContext, config: Value) -> Self {
        Self {
            plugin: Arc::clone(plugin),
            context: context.clone(),
            record: Mutex::new(Record::parse(config)),
            session: tokio::sync::Mutex::default(),
        }
    }

    /// Goes on with a plugin that was told how to make the machine.
    pub(crate) fn with_session(mut self, session: Session) -> Self {
        self.session = tokio::sync::Mutex::new(Some(Arc::new(session)));
        self.begin_here();
        self
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the plugin, started if need be.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, PluginError> {
        let mut kept = self.session.lock().await;
        if let Some(session) = kept.as_ref().filter(|session| session.is_usable()) {
            return Ok(Arc::clone(session));
        }
        let label = Label {
            machine: self.context.name.clone(),
            config: self.record().config.clone(),
        };
        let opened = Session::open(Arc::clone(&self.plugin), label);
        let session = Arc::new(thread::run(opened).await??);
        *kept = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Notes that the creation begins with what is configured now. From its first record on, the
    /// machine can be made by another process, and removed.
    fn begin_here(&self) {
        let mut record = self.record();
        let config = record.config.clone();
        record.facts.before = Some(config);
        record.facts.untouched = true;
    }

    /// Calls a method whose result is of no interest.
    pub(crate) async fn call(&self, method: &'static str) -> Result<(), PluginError> {
        let session = self.session().await?;
        thread::run(async move { session.call(method, Body::Empty).await.map(drop) }).await?
    }

    /// Calls a method that returns text.
    pub(crate) async fn text(&self, method: &'static str) -> Result<String, PluginError> {
        let session = self.session().await?;
        thread::run(async move { session.text(method).await }).await?
    }

    pub(crate) async fn int(&self, method: &'static str) -> Result<i64, PluginError> {
        let session = self.session().await?;
        thread::run(async move { session.int(method).await }).await?
    }

    /// Takes over what the driver knows now.
    pub(crate) async fn refresh(&self) -> Result<(), PluginError> {
        let session = self.session().await?;
        let config = thread::run(async move { session.config().await }).await??;
        self.record().config = config;
        Ok(())
    }

    /// Takes over what the driver knows now if it can still be asked: after a failure, it may not.
    pub(crate) async fn refresh_if_there(&self) {
        let session = self.session.lock().await.clone();
        if let Some(session) = session.filter(|session| session.is_there())
            && let Ok(Ok(config)) = thread::run(async move { session.config().await }).await
        {
            self.record().config = config;
        }
    }

    /// Asks for everything that later commands need, so that they need no process.
    pub(crate) async fn learn(&self) -> Result<(), PluginError> {
        let ip = self.address().await?;
        let port = self.int("GetSSHPort").await?;
        let facts = Facts {
            ip,
            // Some drivers know their engine's address only while they reach the engine.
            url: self.text("GetURL").await.unwrap_or_default(),
            ssh_host: self.text("GetSSHHostname").await?,
            ssh_port: u16::try_from(port).unwrap_or_default(),
            ssh_user: self.text("GetSSHUsername").await?,
            ssh_key: self.text("GetSSHKeyPath").await?,
            ..Facts::default()
        };
        self.refresh().await?;
        self.record().facts = facts;
        Ok(())
    }

    /// Asks for the address; some machines of rancher's drivers have only one of version 6.
    async fn address(&self) -> Result<String, PluginError> {
        let ip = self.text("GetIP").await;
        if ip.as_ref().is_ok_and(|ip| !ip.is_empty()) {
            return ip;
        }
        match self.text("GetIPv6").await {
            Ok(address) if !address.is_empty() => Ok(address),
            _ => ip,
        }
    }

    pub(crate) async fn driver_state(&self) -> Result<MachineState, PluginError> {
        let state = state_of(self.int("GetState").await?);
        Ok(state.unwrap_or(MachineState::Error))
    }

    /// Waits until the machine is in a state; drivers return before it is.
    pub(crate) async fn wait_for(&self, wanted: MachineState) -> Result<(), DriverError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let state = match self.driver_state().await {
                Ok(state) if state == wanted => return Ok(()),
                Ok(state) => state,
                // A machine that is about to exist may not be found yet.
                Err(PluginError::Refused { .. }) if Instant::now() < deadline => {
                    sleep(PAUSE).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if Instant::now() >= deadline {
                let name = &self.context.name;
                let seconds = PATIENCE.as_secs();
                return Err(DriverError::refused(format!(
                    "machine {name} is {state} {seconds} s after its driver was done, not {wanted}"
                ))
                .with_hint("see at the driver's provider what holds it up, then try again"));
            }
            sleep(PAUSE).await;
        }
    }

    /// Calls a method that changes the machine and waits for the state that it leads to.
    async fn change(&self, method: &'static str, wanted: MachineState) -> Result<(), DriverError> {
        let changed = match self.call(method).await {
            Ok(()) => self.wait_for(wanted).await,
            Err(error) => Err(error.into()),
        };
        self.refresh_if_there().await;
        changed
    }
}

/// Returns the state that a driver means, unless it says that it could not find out.
pub(crate) fn state_of(number: i64) -> Option<MachineState> {
    Some(match number {
        0 => MachineState::NotFound,
        1 => MachineState::Running,
        2 => MachineState::Paused,
        3 => MachineState::Saved,
        4 => MachineState::Stopped,
        5 => MachineState::Stopping,
        6 => MachineState::Starting,
        7 => MachineState::Error,
        _ => return None,
    })
}

#[async_trait]
impl Machine for PluginMachine {
    fn config(&self) -> Value {
        self.record().to_value()
    }

    async fn pre_create_check(&self) -> Result<(), DriverError> {
        self.call("PreCreateCheck").await?;
        self.refresh().await?;
        if self.record().facts.untouched {
            self.begin_here();
        }
        Ok(())
    }

    async fn create(&mut self, journal: &dyn Journal) -> Result<(), DriverError> {
        self.make(journal).await
    }

    async fn state(&self) -> Result<MachineState, DriverError> {
        // Some drivers cannot be asked for what they have never made.
        if self.record().facts.untouched {
            return Ok(MachineState::NotFound);
        }
        Ok(self.driver_state().await?)
    }

    fn facts_are_at_hand(&self) -> bool {
        let record = self.record();
        record.ip().is_some() && record.ssh(&self.context.directory).is_some()
    }

    async fn start(&mut self) -> Result<(), DriverError> {
        if self.driver_state().await? != MachineState::Running {
            self.change("Start", MachineState::Running).await?;
        }
        // The address may be another one now.
        Ok(self.learn().await?)
    }

    async fn stop(&mut self) -> Result<(), DriverError> {
        if self.driver_state().await? == MachineState::Stopped {
            return Ok(());
        }
        self.change("Stop", MachineState::Stopped).await
    }

    async fn restart(&mut self) -> Result<Restart, DriverError> {
        let method = match self.driver_state().await? {
            MachineState::Stopped => "Start",
            _ => "Restart",
        };
        self.change(method, MachineState::Running).await?;
        self.learn().await?;
        Ok(Restart::Done)
    }

    async fn kill(&mut self) -> Result<(), DriverError> {
        if self.driver_state().await? == MachineState::Stopped {
            return Ok(());
        }
        self.change("Kill", MachineState::Stopped).await
    }

    async fn remove(&mut self) -> Result<(), DriverError> {
        if self.record().facts.untouched {
            return Ok(());
        }
        let removed = self.call("Remove").await;
        self.refresh_if_there().await;
        let Err(error) = removed else { return Ok(()) };
        let made_nothing = {
            let record = self.record();
            record.facts.before.as_ref() == Some(&record.config)
        };
        // Some drivers cannot remove what they have never made.
        if made_nothing && matches!(self.driver_state().await, Ok(MachineState::NotFound)) {
            return Ok(());
        }
        let name = &self.context.name;
        Err(DriverError::from(error).with_hint(format!(
            "if the machine is gone at its provider, berth machine rm -f {name} removes the record"
        )))
    }

    async fn ip(&self) -> Result<String, DriverError> {
        let known = self.record().ip();
        match known {
            Some(ip) => Ok(ip),
            None => Ok(self.address().await?),
        }
    }

    async fn ssh_endpoint(&self) -> Result<SshEndpoint, DriverError> {
        let known = self.record().ssh(&self.context.directory);
        if let Some(endpoint) = known {
            return Ok(endpoint);
        }
        let port = self.int("GetSSHPort").await?;
        let key = self.text("GetSSHKeyPath").await?;
        Ok(SshEndpoint {
            host: self.text("GetSSHHostname").await?,
            port: u16::try_from(port).unwrap_or_default(),
            user: self.text("GetSSHUsername").await?,
            key: (!key.is_empty()).then(|| key.into()),
            host_key: None,
        })
    }

    fn engine_port(&self) -> u16 {
        self.record().engine_port()
    }

    async fn engine_url(&self) -> Result<String, DriverError> {
        let known = self.record().url();
        if let Some(url) = known {
            return Ok(url);
        }
        let (ip, port) = (self.ip().await?, self.engine_port());
        Ok(if ip.contains(':') {
            format!("tcp://[{ip}]:{port}")
        } else {
            format!("tcp://{ip}:{port}")
        })
    }
}
