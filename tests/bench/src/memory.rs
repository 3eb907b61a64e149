//! What processes hold in memory.

use anyhow::{Context as _, Result};

/// Returns the resident memory of a process of this host, in MiB.
///
/// # Errors
/// When the process is gone.
pub(crate) fn resident(pid: u32) -> Result<f64> {
    field(
        &std::fs::read_to_string(format!("/proc/{pid}/status"))?,
        &["VmRSS:"],
    )
}

/// Returns the resident memory from the text of a `/proc/PID/status`, in MiB.
///
/// # Errors
/// When the text has no such line.
pub(crate) fn resident_in(status: &str) -> Result<f64> {
    field(status, &["VmRSS:"])
}

/// Returns the private memory from the text of a `/proc/PID/smaps_rollup`, in MiB.
///
/// # Errors
/// When the text has no such lines.
pub(crate) fn private_in(smaps_rollup: &str) -> Result<f64> {
    field(smaps_rollup, &["Private_Clean:", "Private_Dirty:"])
}

/// Returns the ids of this host's processes with a command name, as in `/proc/PID/comm`.
pub(crate) fn processes_named(name: &str) -> Vec<u32> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|comm| comm.trim_end() == name)
        })
        .collect()
}

/// Adds up the kB of the lines that start with one of `keys`.
fn field(text: &str, keys: &[&str]) -> Result<f64> {
    let kib: Vec<f64> = text
        .lines()
        .filter(|line| keys.iter().any(|key| line.starts_with(key)))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse().ok())
        .collect();
    (!kib.is_empty())
        .then(|| kib.iter().sum::<f64>() / 1024.0)
        .with_context(|| format!("no {} in it", keys.join(" or ")))
}
