//! Machines whose engine is Docker's own daemon, as docker-machine has installed it.
//!
//! They are reached as docker's tools reach them; what needs an agent of ours is refused.

use std::time::Duration;

use berth_controller_client::{DockerError, DockerTarget, docker_version};
use berth_controller_store::{Engine, MachineRecord};
use berth_provisioners_api::Machine;
use tokio::time::{Instant, sleep};

use crate::{AgentError, Fleet, MachineError, Progress};

/// How long a daemon may take to come up with its machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long to wait before a daemon that is coming up is asked again.
const PAUSE: Duration = Duration::from_millis(200);

impl Fleet {
    /// Returns the version of a machine's engine, which is the proof that it answers: of its agent,
    /// or of Docker's daemon where that is its engine.
    ///
    /// # Errors
    ///
    /// When there is no such machine, or its engine does not answer.
    pub async fn engine_version(
        &self,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<String, AgentError> {
        let loaded = self.load(name)?;
        // What has no agent of ours, and gets none, can only be Docker's.
        if loaded.record.side.engine == Engine::Docker || !loaded.machine.takes_agent() {
            return self.docker_version(&loaded.record, &*loaded.machine).await;
        }
        loaded.require_complete()?;
        let agent = self
            .connect_agent(&loaded.record, &*loaded.machine, progress)
            .await?;
        let answer = agent.version().await.map_err(|status| AgentError::Call {
            machine: name.to_owned(),
            said: crate::list::failed_call(&agent, &status),
        })?;
        Ok(answer.version)
    }

    /// Returns whether a machine's engine is Docker's own daemon.
    ///
    /// # Errors
    ///
    /// When there is no such machine or its record cannot be read.
    pub fn is_docker(&self, name: &str) -> Result<bool, MachineError> {
        Ok(self.record(name)?.side.engine == Engine::Docker)
    }

    pub(crate) async fn docker_version(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
    ) -> Result<String, AgentError> {
        let url = machine.engine_url().await.map_err(MachineError::from)?;
        let paths = self.store.machine(&record.name);
        let certs = self.store.certs();
        // docker-machine gives machines of driver `none` no certificates of their own.
        let (ca, cert, key) = if paths.cert.is_file() {
            (paths.ca, paths.cert, paths.key)
        } else {
            (certs.ca, certs.cert, certs.key)
        };
        docker_version(&DockerTarget { url, ca, cert, key })
            .await
            .map_err(|source| AgentError::Docker {
                machine: record.name.to_string(),
                source,
            })
    }

    /// Waits until the daemon of a machine that was just started answers.
    pub(crate) async fn await_docker(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
        progress: &dyn Progress,
    ) -> Result<String, AgentError> {
        progress.step(
            record.name.as_str(),
            "Waiting for Docker's daemon to answer",
        );
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.docker_version(record, machine).await {
                // Nothing announces that it is up.
                Err(AgentError::Docker {
                    source: DockerError::Unreachable { .. } | DockerError::Timeout { .. },
                    ..
                }) if Instant::now() < deadline => sleep(PAUSE).await,
                other => return other,
            }
        }
    }
}
