//! The agent through SSH, for when TLS does not work: root on the machine needs no certificate.

use std::time::Duration;

use berth_controller_client::{Agent, over};
use berth_controller_ssh::Session;
use berth_controller_store::MachineRecord;
use berth_provisioners_api::Machine;
use tokio::time::timeout;

use super::CertificatesError;
use super::machine::OnHost;
use crate::list::failed_call;
use crate::{Fleet, SshError};

/// How long a machine may take to let us in.
const SSH_PATIENCE: Duration = Duration::from_secs(20);
/// How long its agent may take to answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// Starts the very program that runs as the agent, as root, to pass bytes on to it.
const CONNECT: &str = "\
s='b=/proc/$(cat /run/berth/berthd.pid 2>/dev/null || echo none)/exe; \
[ -x \"$b\" ] || b=$(command -v berthd || echo /usr/local/bin/berthd); exec \"$b\" connect'; \
if [ \"$(id -u)\" = 0 ]; then exec sh -c \"$s\"; else exec sudo -n sh -c \"$s\"; fi";

/// Reads whom the agent trusts and which certificate it has; its key stays where it is.
const READ: &str = "\
s='cat /etc/berth/ca.pem; echo =====; cat /etc/berth/server.pem'; \
if [ \"$(id -u)\" = 0 ]; then exec sh -c \"$s\"; else exec sudo -n sh -c \"$s\"; fi";

/// Returns what the agent has that runs on a host already. A machine that was never ours has
/// nothing that should stay.
pub(crate) async fn on_host(session: &Session, record: &MachineRecord) -> OnHost {
    if record.side.agent.is_none() {
        return OnHost::default();
    }
    let Ok(output) = session.exec(READ, b"").await else {
        return OnHost::default();
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let (ca, cert) = text.split_once("=====").unwrap_or_default();
    OnHost {
        ca: ca.to_owned(),
        cert: cert.trim_start().to_owned(),
    }
}

impl Fleet {
    /// Connects to a machine's agent through SSH, whatever its certificates are.
    pub(super) async fn agent_over_ssh(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
    ) -> Result<Agent, CertificatesError> {
        let name = record.name.to_string();
        let session = self.log_in(record, machine, SSH_PATIENCE).await?;
        let stream = session.open_command(CONNECT).await;
        let stream = stream.map_err(|source| SshError::Exec {
            machine: name.clone(),
            source,
        })?;
        let agent = over(stream);
        let answered = timeout(ANSWER_PATIENCE, agent.version()).await;
        let why = match answered {
            Ok(Ok(_)) => return Ok(agent),
            Ok(Err(status)) => failed_call(&agent, &status),
            Err(_elapsed) => "it did not answer in time".to_owned(),
        };
        Err(CertificatesError::Silent { machine: name, why })
    }
}
