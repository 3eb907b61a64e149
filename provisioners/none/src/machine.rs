//! One engine that somebody else looks after.

use async_trait::async_trait;
use berth_provisioners_api::{
    BaseConfig, DEFAULT_ENGINE_PORT, DriverError, Journal, Machine, MachineState, Restart,
    SshEndpoint,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The `Driver` object of `config.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct NoneConfig {
    #[serde(flatten)]
    pub(crate) base: BaseConfig,
    #[serde(rename = "URL")]
    pub(crate) url: String,
    #[serde(flatten)]
    pub(crate) unknown: Map<String, Value>,
}

/// One engine that somebody else looks after.
#[derive(Debug)]
pub(crate) struct NoneMachine {
    config: NoneConfig,
}

impl NoneMachine {
    pub(crate) fn new(config: NoneConfig) -> Self {
        Self { config }
    }

    fn unsupported(operation: &str) -> DriverError {
        DriverError::refused(format!("hosts without a driver cannot be {operation}"))
            .with_hint("do it on the host itself")
    }
}

#[async_trait]
impl Machine for NoneMachine {
    fn config(&self) -> Value {
        serde_json::to_value(&self.config).unwrap_or_default()
    }

    async fn create(&mut self, _journal: &dyn Journal) -> Result<(), DriverError> {
        Ok(())
    }

    async fn state(&self) -> Result<MachineState, DriverError> {
        Ok(MachineState::Running)
    }

    fn state_is_at_hand(&self) -> bool {
        true
    }

    async fn start(&mut self) -> Result<(), DriverError> {
        Err(Self::unsupported("started"))
    }

    async fn stop(&mut self) -> Result<(), DriverError> {
        Err(Self::unsupported("stopped"))
    }

    async fn restart(&mut self) -> Result<Restart, DriverError> {
        Err(Self::unsupported("restarted"))
    }

    async fn kill(&mut self) -> Result<(), DriverError> {
        Err(Self::unsupported("killed"))
    }

    async fn remove(&mut self) -> Result<(), DriverError> {
        Ok(())
    }

    /// The host and port of the URL, as docker-machine's own tools expect it of this driver.
    async fn ip(&self) -> Result<String, DriverError> {
        Ok(self.config.base.ip_address.clone())
    }

    async fn ssh_endpoint(&self) -> Result<SshEndpoint, DriverError> {
        Err(Self::unsupported("logged in to"))
    }

    fn takes_agent(&self) -> bool {
        false
    }

    fn engine_port(&self) -> u16 {
        let port = authority(&self.config.url).and_then(|address| address.rsplit(':').next());
        port.and_then(|port| port.parse().ok())
            .unwrap_or(DEFAULT_ENGINE_PORT)
    }

    async fn engine_url(&self) -> Result<String, DriverError> {
        Ok(self.config.url.clone())
    }
}

/// Returns the host and port of a URL.
pub(crate) fn authority(url: &str) -> Option<&str> {
    let (_scheme, rest) = url.split_once("://")?;
    let address = rest.split('/').next().unwrap_or(rest);
    let address = address.rsplit('@').next().unwrap_or(address);
    (!address.is_empty()).then_some(address)
}
