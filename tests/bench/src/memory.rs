//! What processes hold in memory.

use anyhow::{Context as _, Result};

/// Returns the proportional set size of a process of this host, in MiB: shared pages are divided
/// among those who share them.
///
/// # Errors
/// When the process is gone.
pub(crate) fn proportional(pid: u32) -> Result<f64> {
    proportional_in(&rollup(pid)?)
}

/// Returns the private memory of a process of this host, in MiB.
///
/// # Errors
/// When the process is gone.
pub(crate) fn private(pid: u32) -> Result<f64> {
    private_in(&rollup(pid)?)
}

/// Returns the sum of the proportional set sizes in texts of `/proc/PID/smaps_rollup`, in MiB.
///
/// # Errors
/// When the text has no such line.
pub(crate) fn proportional_in(smaps_rollup: &str) -> Result<f64> {
    field(smaps_rollup, &["Pss:"])
}

/// Returns the private memory from the text of a `/proc/PID/smaps_rollup`, in MiB.
///
/// # Errors
/// When the text has no such lines.
pub(crate) fn private_in(smaps_rollup: &str) -> Result<f64> {
    field(smaps_rollup, &["Private_Clean:", "Private_Dirty:"])
}

/// Returns the memory of this host that is free for programs, in MiB.
///
/// # Errors
/// When the kernel does not tell.
pub(crate) fn available() -> Result<f64> {
    field(
        &std::fs::read_to_string("/proc/meminfo")?,
        &["MemAvailable:"],
    )
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

/// Returns the words of a process's command line, divided by spaces; nothing when it is gone.
pub(crate) fn words_of(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// Returns the parent of a process.
pub(crate) fn parent_of(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok()
}

fn rollup(pid: u32) -> Result<String> {
    let path = format!("/proc/{pid}/smaps_rollup");
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
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
