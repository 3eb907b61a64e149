//! Sending the agent's executable, verified on the host before it takes the old one's place.

use berth_controller_ssh::Session;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

use crate::agent::{AgentBinary, BinaryError};
use crate::facts::{HostFacts, Privilege};
use crate::run::{Plan, Progress, ProvisionError, Step, exec, quote};

/// How much of the file is read ahead.
const READ_AHEAD: usize = 512 * 1024;

/// Sends the executable when the host has another one; returns whether it did.
pub(crate) async fn upload(
    session: &Session,
    plan: &Plan<'_>,
    facts: &HostFacts,
    progress: &dyn Progress,
) -> Result<bool, ProvisionError> {
    let agent = plan.agent;
    if facts.agent_sha256.as_deref() == Some(agent.sha256()) {
        return Ok(false);
    }
    if !same_architecture(agent.architecture(), &facts.architecture) {
        return Err(ProvisionError::Architecture {
            host: facts.architecture.clone(),
            agent: agent.architecture().to_owned(),
        });
    }
    let path = if facts.has_gzip {
        compressed(agent, plan).await?
    } else {
        agent.path().to_owned()
    };
    let failed = |source| {
        ProvisionError::Binary(BinaryError::Io {
            action: "read",
            path: path.clone(),
            source,
        })
    };
    let mut file = File::open(&path).await.map_err(failed)?;
    file.set_max_buf_size(READ_AHEAD);
    let total = file.metadata().await.map_err(failed)?.len();
    progress.step(Step::Upload);
    let counted = Counted {
        file,
        done: 0,
        total,
        progress,
    };
    let command = command(agent.sha256(), facts);
    let output = exec(session, Step::Upload, &command, counted).await?;
    if output.status.success() {
        Ok(true)
    } else {
        Err(ProvisionError::from_output(Step::Upload, &output))
    }
}

async fn compressed(
    agent: &AgentBinary,
    plan: &Plan<'_>,
) -> Result<std::path::PathBuf, ProvisionError> {
    let (agent, cache) = (agent.clone(), plan.cache.to_owned());
    let work = tokio::task::spawn_blocking(move || agent.compressed(&cache));
    Ok(work.await.map_err(ProvisionError::Task)??)
}

/// Returns the command: one line without single quotes inside, so that any login shell passes it
/// on to `sh` as it is.
fn command(sha256: &str, facts: &HostFacts) -> String {
    let unpack = if facts.has_gzip { "gzip -dc" } else { "cat" };
    // The name has the digest: an upload that was cut off is overwritten by the next one.
    let script = format!(
        "set -e; umask 022; mkdir -p /usr/local/bin; new=/usr/local/bin/.berthd-{short}.new; \
         trap \"rm -f $new\" EXIT; {unpack} >$new; \
         sum=$(sha256sum $new || shasum -a 256 $new || openssl dgst -sha256 -r $new); \
         if [ \"${{sum%% *}}\" != {sha256} ]; then \
         echo \"the file arrived damaged: its sha256 is ${{sum%% *}}\" >&2; exit 65; fi; \
         chmod 755 $new; mv -f $new /usr/local/bin/berthd; \
         if command -v restorecon >/dev/null; then restorecon /usr/local/bin/berthd; fi",
        short = &sha256[..12],
    );
    let sudo = if facts.privilege == Privilege::Root {
        ""
    } else {
        "sudo -n "
    };
    format!("{sudo}sh -c {}", quote(&script))
}

/// `uname -m` has several names for the same thing.
fn same_architecture(agent: &str, host: &str) -> bool {
    let plain = |name: &str| match name {
        "amd64" => "x86_64".to_owned(),
        "arm64" => "aarch64".to_owned(),
        other => other.to_owned(),
    };
    plain(agent) == plain(host)
}

/// Tells how much of the file has been read.
struct Counted<'a> {
    file: File,
    done: u64,
    total: u64,
    progress: &'a dyn Progress,
}

impl AsyncRead for Counted<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.file).poll_read(context, buffer);
        let n_read = buffer.filled().len() - before;
        if n_read > 0 {
            self.done += n_read as u64;
            self.progress.bytes(self.done, self.total);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_architecture_are_the_same() {
        assert!(same_architecture("x86_64", "amd64"));
        assert!(same_architecture("aarch64", "arm64"));
        assert!(!same_architecture("x86_64", "aarch64"));
    }
}
