//! The agent through SSH, for when TLS does not work: root on the machine needs no certificate.

use std::time::Duration;

use berth_controller_client::{Agent, over};
use berth_controller_store::MachineRecord;
use berth_provisioners_api::Machine;
use tokio::time::timeout;

use super::CertificatesError;
use crate::host::Host;
use crate::list::failed_call;
use crate::{Fleet, SshError};

/// How long a machine may take to let us in.
const SSH_PATIENCE: Duration = Duration::from_secs(20);
/// How long its agent may take to answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// Starts the very program that runs as the agent, to pass bytes on to it. A number that is left in
/// the agent's file may be any program's by now; nothing but the agent's is started as root.
const CONNECT: &str = "\
b=/proc/$(cat /run/berth/berthd.pid 2>/dev/null || echo none)/exe; \
case $(readlink \"$b\" 2>/dev/null) in \
*/berthd|*/berthd\\ *|*/.berthd-*) ;; \
*) b=; for f in /usr/local/bin /opt/berth/bin /var/lib/berth/bin; do \
if [ -x $f/berthd ]; then b=$f/berthd; break; fi; done ;; esac; \
exec \"${b:-berthd}\" connect";

impl Fleet {
    /// Connects to a machine's agent through SSH, whatever its certificates are.
    pub(super) async fn agent_over_ssh(
        &self,
        record: &MachineRecord,
        machine: &dyn Machine,
    ) -> Result<Agent, CertificatesError> {
        let name = record.name.to_string();
        let session = self.log_in(record, machine, SSH_PATIENCE).await?;
        let host = Host::look(&session, &name, &self.sudo).await;
        let host = host.map_err(|source| CertificatesError::Host {
            machine: name.clone(),
            source: Box::new(source),
        })?;
        let stream = host.root().open(CONNECT).await;
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// Runs the command on a host whose agent's file has the number of a process called `name`, and
    /// returns what was started. Nothing is installed.
    fn started(folder: &Path, name: &str) -> String {
        let program = folder.join(name);
        fs::copy("/bin/sleep", &program).unwrap();
        let mut process = Command::new(&program).arg("1000").spawn().unwrap();
        let pid_file = folder.join("pid");
        fs::write(&pid_file, process.id().to_string()).unwrap();
        let line = CONNECT
            .replace("/run/berth/berthd.pid", pid_file.to_str().unwrap())
            .replace("/usr/local/bin /opt/berth/bin /var/lib/berth/bin", "/none")
            .replace("exec ", "echo ");
        let ran = Command::new("sh").args(["-c", &line]).output().unwrap();
        let expected = format!("/proc/{}/exe", process.id());
        process.kill().unwrap();
        process.wait().unwrap();
        let said = String::from_utf8(ran.stdout).unwrap();
        said.trim().replace(&expected, "that process")
    }

    #[test]
    fn only_the_agents_own_program_is_started_as_root() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(started(folder.path(), "berthd"), "that process connect");
        for other in ["database", "berthdx", "berthctl"] {
            assert_eq!(started(folder.path(), other), "berthd connect", "{other}");
        }
    }
}
