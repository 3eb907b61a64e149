//! Sending the agent's executable, verified on the host before it takes the old one's place.

use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

use crate::agent::{AgentBinary, BinaryError};
use crate::facts::{HostFacts, Installed, Selinux};
use crate::root::Root;
use crate::run::{Plan, Progress, ProvisionError, Step};

/// How much of the file is read ahead.
const READ_AHEAD: usize = 512 * 1024;

/// Sends the executable when the host has another one; returns whether one waits to be put in place.
///
/// It waits beside the one that runs, verified, and has shown that it runs on this host: so a host
/// that cannot use it keeps what it has.
pub(crate) async fn upload(
    root: &Root<'_>,
    plan: &Plan<'_>,
    facts: &HostFacts,
    folder: &str,
    progress: &dyn Progress,
) -> Result<bool, ProvisionError> {
    let agent = plan.agent;
    let is = |found: &[Installed]| {
        let wanted = |one: &Installed| one.folder == folder && one.sha256 == agent.sha256();
        found.iter().any(wanted)
    };
    if is(&facts.agents) {
        return Ok(false);
    }
    if !same_architecture(agent.architecture(), &facts.architecture) {
        return Err(ProvisionError::Architecture {
            host: facts.architecture.clone(),
            agent: agent.architecture().to_owned(),
        });
    }
    progress.step(Step::Upload);
    if is(&facts.waiting) {
        return Ok(true);
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
    let counted = Counted {
        file,
        done: 0,
        total,
        progress,
    };
    let line = line(agent.sha256(), facts, folder);
    let output = root.run(Step::Upload, &line, counted).await?;
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

/// Returns the line of shell, without single quotes inside, so that any login shell passes it on to
/// `sh` as it is.
fn line(sha256: &str, facts: &HostFacts, folder: &str) -> String {
    let unpack = if facts.has_gzip { "gzip -dc" } else { "cat" };
    // Which label lets a service be started from a folder, the policy may not know.
    let label = if facts.selinux == Selinux::Off {
        ""
    } else {
        "restorecon -F $new 2>/dev/null || :; chcon -t bin_t $new; "
    };
    // The name has the digest: an upload that was cut off is overwritten by the next one.
    format!(
        "set -e; umask 022; mkdir -p {folder}; chmod 755 {folder}; new={folder}/.berthd-{short}.new; \
         trap \"rm -f $new\" EXIT; rm -f {folder}/.berthd-next {folder}/.berthd-*.new; \
         {unpack} >$new; \
         sum=$(sha256sum $new || shasum -a 256 $new || openssl dgst -sha256 -r $new); \
         if [ \"${{sum%% *}}\" != {sha256} ]; then \
         echo \"the file arrived damaged: its sha256 is ${{sum%% *}}\" >&2; exit 65; fi; \
         chmod 755 $new; {label}\
         limit=; if command -v timeout >/dev/null; then limit=\"timeout 20\"; fi; \
         if ! said=$($limit $new version 2>&1 </dev/null); then \
         echo \"the agent does not run on this host: $said\" >&2; exit 66; fi; \
         mv -f $new {folder}/.berthd-next",
        short = &sha256[..12],
    )
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
