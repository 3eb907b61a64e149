//! Runs one check of a container's health, as a command in the container.

use std::sync::Arc;
use std::time::Duration;

use berth_agent_runtime::{ExecHandle, Output, Running};

use crate::Engine;
use crate::class::Classified as _;
use crate::container::Container;
use crate::container::status::Phase;
use crate::life::process_tree::{self, Root};
use crate::streams::exec::{ExecError, ExecOptions};

/// Bytes of output that are kept, as Docker's.
const KEPT: usize = 4096;

/// How long a command that was killed may take to be gone. One that waits for a broken disk takes longer,
/// and then somebody else must deal with it.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// A check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    command: Vec<String>,
    timeout: Duration,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// 0: well; -1: it could not be found out.
    pub(crate) exit_code: i32,
    pub(crate) output: String,
}

/// Output up to a bound.
#[derive(Debug, Default)]
struct Collected {
    bytes: Vec<u8>,
    is_cut: bool,
}

// === impl Probe ===

impl Probe {
    /// Reads the words of a health check; nothing when there is none. `shell` is the container's.
    pub(crate) fn new(test: &[String], shell: &[String], timeout: Duration) -> Option<Self> {
        let (kind, words) = test.split_first()?;
        if words.is_empty() {
            return None;
        }
        let command = match kind.as_str() {
            "CMD" => words.to_vec(),
            "CMD-SHELL" if shell.is_empty() => {
                let default = ["/bin/sh", "-c"].map(str::to_owned);
                default.into_iter().chain(words.iter().cloned()).collect()
            }
            "CMD-SHELL" => shell.iter().chain(words).cloned().collect(),
            _ => return None,
        };
        Some(Self { command, timeout })
    }
}

// === impl Collected ===

impl Collected {
    fn add(&mut self, data: &[u8]) {
        let room = KEPT - self.bytes.len();
        self.is_cut |= data.len() > room;
        self.bytes.extend_from_slice(&data[..data.len().min(room)]);
    }

    fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        if self.is_cut {
            text.push_str("...");
        }
        text
    }
}

impl Engine {
    /// Runs a check to its end or for as long as it may take. Returns nothing when the container does not
    /// run any more.
    pub(crate) async fn probe(
        self: &Arc<Self>,
        container: &Arc<Container>,
        probe: &Probe,
    ) -> Option<Finding> {
        let options = ExecOptions {
            command: probe.command.clone(),
            ..ExecOptions::default()
        };
        let (_id, process) = match self.exec_in(container, options).await {
            Ok(started) => started,
            Err(ExecError::NotRunning(_) | ExecError::Paused(_)) => return None,
            Err(error) => {
                let output = error.sentence();
                return Some(Finding {
                    exit_code: -1,
                    output,
                });
            }
        };
        let root = Root::of(process.handle.pid());
        let mut collected = Collected::default();
        let output = process.attachment.map(|attachment| attachment.output);
        let end = run(output, &process.handle, &mut collected);
        let finding = match tokio::time::timeout(probe.timeout, end).await {
            Ok(code) => Finding {
                exit_code: code?,
                output: collected.text(),
            },
            Err(_elapsed) => {
                end_late_one(&process.handle, root, container.running()).await;
                Finding {
                    exit_code: -1,
                    output: late(probe.timeout, &collected.text()),
                }
            }
        };
        (container.phase() == Phase::Running).then_some(finding)
    }
}

async fn run(
    output: Option<Output>,
    handle: &ExecHandle,
    collected: &mut Collected,
) -> Option<i32> {
    if let Some(mut output) = output {
        loop {
            match output.next().await {
                Ok(Some(record)) => collected.add(&record.data),
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(error = %error, "output of a health check cut off");
                    break;
                }
            }
        }
    }
    handle.wait().await
}

/// Kills a command with all that it started. Without the container there is nothing left of it.
async fn end_late_one(handle: &ExecHandle, root: Root, running: Option<Running>) {
    let pid = handle.pid();
    if let Some(running) = running {
        let members = move || running.process_ids().unwrap_or_default();
        let work = tokio::task::spawn_blocking(move || process_tree::kill(root, members));
        crate::task::outcome(work).await;
    }
    if let Err(error) = handle.signal(nix::libc::SIGKILL).await {
        tracing::debug!(error = %error, "late health check not killed by its supervisor");
    }
    if tokio::time::timeout(GONE_WITHIN, handle.wait())
        .await
        .is_err()
    {
        tracing::warn!(pid, "killed health check does not end");
    }
}

/// Returns Docker's words for a check that took too long.
fn late(timeout: Duration, output: &str) -> String {
    let timeout = go_duration(timeout);
    if output.is_empty() {
        return format!("Health check exceeded timeout ({timeout})");
    }
    format!("Health check exceeded timeout ({timeout}): {output}")
}

/// Returns a duration as Go prints it: `1.5s`, `1m0s`, `1h0m0s`, `20ms`.
fn go_duration(duration: Duration) -> String {
    let part = |value: f64, unit: &str| format!("{value}{unit}");
    let seconds = duration.as_secs();
    let nanos = duration.subsec_nanos();
    if seconds == 0 {
        return match nanos {
            0 => "0s".to_owned(),
            1..1_000 => format!("{nanos}ns"),
            1_000..1_000_000 => part(f64::from(nanos) / 1e3, "µs"),
            _ => part(f64::from(nanos) / 1e6, "ms"),
        };
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = part((duration.as_secs_f64() % 60.0 * 1e9).round() / 1e9, "s");
    match (hours, minutes) {
        (0, 0) => rest,
        (0, _) => format!("{minutes}m{rest}"),
        _ => format!("{hours}h{minutes}m{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn shell_lines_go_to_the_containers_shell() {
        let command = |test: &str, shell: &str| {
            Probe::new(&words(test), &words(shell), Duration::ZERO).map(|probe| probe.command)
        };
        assert_eq!(command("CMD a b", ""), Some(words("a b")));
        assert_eq!(command("CMD-SHELL a", ""), Some(words("/bin/sh -c a")));
        assert_eq!(
            command("CMD-SHELL a", "/bin/ash -xc"),
            Some(words("/bin/ash -xc a"))
        );
        assert_eq!(command("NONE", ""), None);
    }

    #[test]
    fn output_is_bounded() {
        let mut collected = Collected::default();
        collected.add(&[b'a'; KEPT]);
        assert_eq!(collected.text().len(), KEPT);
        collected.add(b"b");
        assert_eq!(collected.text(), format!("{}...", "a".repeat(KEPT)));
    }

    #[test]
    fn durations_read_as_gos() {
        for (millis, text) in [
            (0, "0s"),
            (20, "20ms"),
            (1500, "1.5s"),
            (30_000, "30s"),
            (60_000, "1m0s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(
            late(Duration::from_secs(1), "x"),
            "Health check exceeded timeout (1s): x"
        );
    }
}
