//! Timing of whole commands, two contestants in turn.

use std::fmt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Unit of a row of the report.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    /// Milliseconds.
    Milliseconds,
    /// Mebibytes, 1,048,576 bytes.
    Mebibytes,
}

/// One line of the report.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) unit: Unit,
    pub(crate) berth: f64,
    /// `None` where Docker has no counterpart.
    pub(crate) docker: Option<f64>,
}

/// Times two commands in turn, after one untimed round each, and returns the medians.
///
/// `between` is run before each timed command, to bring back the state that it starts from.
///
/// # Errors
/// When any of the commands fails.
pub(crate) fn interleaved(
    rounds: usize,
    mut berth: impl FnMut() -> Command,
    mut docker: impl FnMut() -> Command,
    mut between: impl FnMut() -> Result<()>,
) -> Result<(f64, f64)> {
    let mut times = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        between()?;
        let first = timed(&mut berth())?;
        between()?;
        let second = timed(&mut docker())?;
        if round > 0 {
            times.0.push(first);
            times.1.push(second);
        }
    }
    Ok((median_ms(times.0), median_ms(times.1)))
}

/// Runs a command without output to its end and returns how long that took.
///
/// # Errors
/// When it cannot be started or fails.
pub(crate) fn timed(command: &mut Command) -> Result<Duration> {
    let start = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    let taken = start.elapsed();
    if !output.status.success() {
        bail!(
            "{command:?} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(taken)
}

/// Returns the median in milliseconds.
pub(crate) fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times
        .get(times.len() / 2)
        .copied()
        .unwrap_or_default()
        .as_secs_f64()
        * 1000.0
}

// === impl Row ===

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: f64| match self.unit {
            Unit::Milliseconds => format!("{value:.1} ms"),
            Unit::Mebibytes => format!("{value:.2} MiB"),
        };
        write!(formatter, "{:<44} {:>12}", self.what, show(self.berth))?;
        match self.docker {
            Some(docker) => {
                write!(
                    formatter,
                    " {:>12} {:>7.1}x",
                    show(docker),
                    docker / self.berth
                )
            }
            None => write!(formatter, " {:>12} {:>8}", "-", "-"),
        }
    }
}
