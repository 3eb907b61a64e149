//! Reaching a machine's agent, and settling on the way what is due about certificates.

use berth_controller_client::{Agent, ConnectError};
use berth_controller_store::MachineRecord;
use berth_provisioners_api::Machine;

use super::due::{Book, Due, ServerDue};
use super::machine::copy_client;
use super::settle::{Settling, own_client};
use super::{CertificatesError, CredentialsError};
use crate::fleet::Loaded;
use crate::list::{chain, failed_call};
use crate::{AgentError, Fleet, Progress};

impl Fleet {
    /// Connects to a machine's agent. What is due about its certificates is done on the way; when
    /// that fails although the machine can be reached, it is told and tried again next time.
    pub(crate) async fn contact(
        &self,
        record: MachineRecord,
        machine: &dyn Machine,
        progress: &dyn Progress,
    ) -> Result<Agent, AgentError> {
        let due = self.due(&record);
        if due.is_nothing() {
            return self.connect_at_address(record, machine, progress).await;
        }
        let name = record.name.to_string();
        let settled = self.settle_machine(&name, None, progress).await;
        let error = match settled {
            Ok(agent) => return Ok(agent),
            Err(error) => error,
        };
        if due.is_locked_out() {
            return Err(AgentError::Certificates {
                machine: name,
                source: Box::new(error),
            });
        }
        let agent = self.connect_at_address(record, machine, progress).await?;
        // Somebody else who works on the machine does it as well as we would.
        if !matches!(error, CertificatesError::Locked(_)) {
            let text = format!("certificates were not renewed: {}", chain(&error));
            progress.notice(&name, &text);
        }
        Ok(agent)
    }

    /// Returns what has to be done about a machine's certificates.
    pub(crate) fn due(&self, record: &MachineRecord) -> Due {
        let paths = self.store.machine(&record.name);
        Book::load(&self.store).map_or_else(Due::default, |book| book.due(record, &paths))
    }

    /// Settles what is due about a machine's certificates, under its lock, and returns its agent.
    /// `asked` is another certificate for it that somebody wants in any case.
    pub(super) async fn settle_machine(
        &self,
        name: &str,
        asked: Option<ServerDue>,
        progress: &dyn Progress,
    ) -> Result<Agent, CertificatesError> {
        let _lock = self.store.lock_machine(&self.record(name)?.name)?;
        let Loaded { record, machine } = self.load(name)?;
        let book = Book::load(&self.store).ok_or_else(|| CertificatesError::NoAuthority {
            directory: self.store.certs().directory,
        })?;
        let paths = self.store.machine(&record.name);
        let due = book.due(&record, &paths);
        let mut due = own_client(self, book, &due)?.due(&record, &paths);
        due.server = asked.or(due.server);
        let mut settling = Settling {
            fleet: self,
            record,
            machine: &*machine,
            progress,
        };
        // An agent that knows the authority takes the new client certificate at once.
        if due.client_copy && !due.introduce {
            copy_client(&self.store, &paths)?;
            due.client_over = false;
        }
        settling.settle_over_any_way(&due).await
    }

    /// Connects to the address on record, or to the one that the machine has by now.
    async fn connect_at_address(
        &self,
        mut record: MachineRecord,
        machine: &dyn Machine,
        progress: &dyn Progress,
    ) -> Result<Agent, AgentError> {
        let failed = match self.connect_agent(&record, machine, progress).await {
            Err(error) if error.is_unreachable() => error,
            done => return done,
        };
        let known = record.config.ip_address().map(ToOwned::to_owned);
        let now = machine.ip().await.ok().filter(|ip| !ip.is_empty());
        let (Some(known), Some(now)) = (known, now) else {
            return Err(failed);
        };
        if known == now {
            return Err(failed);
        }
        let name = record.name.to_string();
        progress.notice(&name, &format!("the machine's address is {now} by now"));
        if let Ok(_lock) = self.store.lock_machine(&record.name) {
            record = self.record(&name)?;
            let mut driver = record.config.driver().clone();
            driver["IPAddress"] = now.into();
            record.config.set_driver(driver);
            // Best effort: what is not written down is asked again.
            let _ = self.store.save(&record);
        }
        // What is due now includes a certificate with the new address.
        match self.settle_machine(&name, None, progress).await {
            Ok(agent) => Ok(agent),
            Err(_) => self.connect_agent(&record, machine, progress).await,
        }
    }
}

impl Settling<'_> {
    /// Does what is due by TLS, or through SSH when TLS does not work.
    async fn settle_over_any_way(&mut self, due: &Due) -> Result<Agent, CertificatesError> {
        if due.is_locked_out() {
            return self.settle_over_ssh(due).await;
        }
        let connected = self
            .fleet
            .connect_agent(&self.record, self.machine, self.progress)
            .await;
        let agent = match connected {
            Ok(agent) => agent,
            Err(error) if error.is_about_trust() => return self.settle_over_ssh(due).await,
            Err(error) => return Err(error.into()),
        };
        // That the agent does not take our certificate is only known from an answer.
        if let Err(status) = agent.version().await {
            if agent.fault().is_some() {
                return self.settle_over_ssh(due).await;
            }
            return Err(CertificatesError::Silent {
                machine: self.record.name.to_string(),
                why: failed_call(&agent, &status),
            });
        }
        self.settle(due, agent, false).await
    }

    async fn settle_over_ssh(&mut self, due: &Due) -> Result<Agent, CertificatesError> {
        let name = self.record.name.to_string();
        let text = "certificates are not valid any more; renewing them through ssh";
        self.progress.notice(&name, text);
        let agent = self
            .fleet
            .agent_over_ssh(&self.record, self.machine)
            .await?;
        let mut due = due.clone();
        // Whatever it was, the agent has to know the authority, and we its certificate.
        due.introduce = true;
        due.client_copy = true;
        due.bundle = true;
        due.server.get_or_insert(ServerDue::Over);
        self.settle(&due, agent, true).await?;
        let agent = self
            .fleet
            .connect_agent(&self.record, self.machine, self.progress)
            .await?;
        Ok(agent)
    }
}

impl AgentError {
    /// Returns whether nothing answers at the machine's address.
    fn is_unreachable(&self) -> bool {
        let Self::Connect { source, .. } = self else {
            return false;
        };
        matches!(
            source,
            ConnectError::Unreachable { .. } | ConnectError::TunnelFailed { .. }
        )
    }

    /// Returns whether something answers that cannot be trusted as things are, or our own files do
    /// not fit together.
    fn is_about_trust(&self) -> bool {
        match self {
            Self::Connect { source, .. } => matches!(source, ConnectError::Tls { .. }),
            Self::Identity { .. } => true,
            _ => false,
        }
    }
}

impl From<crate::SshError> for CertificatesError {
    fn from(error: crate::SshError) -> Self {
        Self::Ssh(Box::new(error))
    }
}

impl From<AgentError> for CertificatesError {
    fn from(error: AgentError) -> Self {
        Self::Agent(Box::new(error))
    }
}

impl From<berth_controller_store::WriteError> for CertificatesError {
    fn from(error: berth_controller_store::WriteError) -> Self {
        Self::Credentials(CredentialsError::from(error))
    }
}
