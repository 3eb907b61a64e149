//! Replacing a machine's agent by this berth's, with containers running.

use crate::agent::is_off;
use crate::fleet::Loaded;
use crate::{Fleet, MachineError, Progress, ProvisionError, ProvisionReport};

/// What an upgrade did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeReport {
    /// The version that was there before, as far as it is on record.
    pub before: Option<String>,
    /// The version that answers now.
    pub version: String,
    /// Whether the executable was replaced.
    pub replaced: bool,
    /// All that was replaced.
    pub changes: Vec<String>,
}

impl Fleet {
    /// Replaces a machine's agent by this berth's; a machine that is off is started first.
    ///
    /// Containers run on untouched. An agent that does not become ready, or does not answer over
    /// mutual TLS as the one that was sent, is taken back, and the former one is started again.
    ///
    /// # Errors
    ///
    /// When a step fails; [`ProvisionError::NotKept`] and a host's
    /// [`berth_controller_provision::ProvisionError::WentBack`] say that the former agent is back.
    pub async fn upgrade(
        &self,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<UpgradeReport, ProvisionError> {
        let _lock = self.store.lock_machine(&self.record(name)?.name)?;
        let loaded = self.load(name)?;
        loaded.require_whole()?;
        let Loaded {
            mut record,
            mut machine,
        } = loaded;
        if machine.state().await.is_ok_and(is_off) {
            progress.step(name, "Starting");
            let started = machine.start().await;
            record.config.set_driver(machine.config());
            self.store.save(&record)?;
            started.map_err(MachineError::from)?;
        }
        let report = self
            .put_agent(&mut record, &*machine, false, progress)
            .await?;
        Ok(report.into())
    }
}

impl From<ProvisionReport> for UpgradeReport {
    fn from(report: ProvisionReport) -> Self {
        Self {
            before: report.before,
            version: report.version,
            replaced: report.changes.iter().any(|change| change == "binary"),
            changes: report.changes,
        }
    }
}
