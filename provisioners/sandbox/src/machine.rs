//! The asynchronous face of a machine, as the fleet sees it.

use async_trait::async_trait;
use berth_provisioners_api::{DriverError, Journal, Machine, MachineState, SshEndpoint};
use serde_json::Value;

use crate::checks;
use crate::failure::Doing as _;
use crate::host::HostMachine;
use crate::keys::public_key;

/// A machine made out of this host.
#[derive(Debug)]
pub(crate) struct SandboxMachine {
    host: HostMachine,
}

impl SandboxMachine {
    /// Returns the machine.
    pub(crate) fn new(host: HostMachine) -> Self {
        Self { host }
    }

    /// Does something that waits, where waiting holds up nobody.
    async fn on_host<T: Send + 'static>(
        &self,
        work: impl FnOnce(&HostMachine) -> Result<T, DriverError> + Send + 'static,
    ) -> Result<T, DriverError> {
        let host = self.host.clone();
        tokio::task::spawn_blocking(move || work(&host))
            .await
            .doing(|| "cannot finish work on this host".to_owned())?
    }
}

#[async_trait]
impl Machine for SandboxMachine {
    fn config(&self) -> Value {
        // All keys are texts and all values numbers or texts, so this cannot fail.
        serde_json::to_value(&self.host.config).unwrap_or_default()
    }

    async fn pre_create_check(&self) -> Result<(), DriverError> {
        self.on_host(checks::before_create).await
    }

    async fn create(&mut self, journal: &dyn Journal) -> Result<(), DriverError> {
        journal.step("disk, keys and address", &self.config())?;
        let address = self.on_host(HostMachine::prepare).await?;
        self.host.config.base.ip_address = address.to_string();
        journal.step("boot", &self.config())?;
        self.start().await
    }

    async fn state(&self) -> Result<MachineState, DriverError> {
        self.on_host(HostMachine::state).await
    }

    fn state_is_at_hand(&self) -> bool {
        true
    }

    async fn start(&mut self) -> Result<(), DriverError> {
        let address = self.on_host(HostMachine::boot).await?;
        self.host.config.base.ip_address = address.to_string();
        Ok(())
    }

    async fn stop(&mut self) -> Result<(), DriverError> {
        self.on_host(HostMachine::stop).await
    }

    async fn kill(&mut self) -> Result<(), DriverError> {
        self.on_host(HostMachine::kill).await
    }

    async fn remove(&mut self) -> Result<(), DriverError> {
        self.on_host(HostMachine::remove).await
    }

    async fn ip(&self) -> Result<String, DriverError> {
        match self.host.address() {
            Some(address) => Ok(address.to_string()),
            None => Err(DriverError::refused(format!(
                "machine {} has no address yet",
                self.host.config.base.machine_name
            ))),
        }
    }

    async fn ssh_endpoint(&self) -> Result<SshEndpoint, DriverError> {
        let files = self.host.files();
        Ok(SshEndpoint {
            host: self.ip().await?,
            port: self.host.config.base.ssh_port,
            user: self.host.config.base.ssh_user.clone(),
            key: Some(files.client_key()),
            host_key: Some(public_key(&files.host_key())?),
        })
    }
}
