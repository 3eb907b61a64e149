//! Small conveniences over processes.

use std::io::Read as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Longest part of a failed command's words that is repeated.
const LONGEST_WORDS: usize = 300;

/// Longer than this no stream is read.
const LONGEST_STREAM: Duration = Duration::from_secs(30);

/// Runs a command to its end and returns its standard output, trimmed.
///
/// # Errors
/// When it cannot be started or fails; the text has its standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", words(command)))?;
    check(command, &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
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
        .with_context(|| format!("cannot start {}", words(command)))?;
    let taken = start.elapsed();
    check(command, &output)?;
    Ok(taken)
}

/// Runs a command to its end and returns how many bytes it wrote, and how long that took.
///
/// # Errors
/// When it cannot be started, read or fails.
pub(crate) fn drained(command: &mut Command) -> Result<(u64, Duration)> {
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", words(command)))?;
    let mut stream = child.stdout.take().context("no standard output")?;
    let mut buffer = vec![0; 1 << 16];
    let mut total = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            n => total += n as u64,
        }
        if start.elapsed() > LONGEST_STREAM {
            // It may have ended just now.
            drop(child.kill());
            child.wait()?;
            bail!("only {total} bytes within {LONGEST_STREAM:?}");
        }
    }
    let status = child.wait()?;
    let taken = start.elapsed();
    if !status.success() {
        bail!("{} failed: {status}", words(command));
    }
    Ok((total, taken))
}

fn check(command: &Command, output: &Output) -> Result<()> {
    if !output.status.success() {
        bail!(
            "{} failed: {}",
            words(command),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

fn words(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for word in command.get_args() {
        text.push(' ');
        text.push_str(&word.to_string_lossy());
    }
    if text.chars().count() > LONGEST_WORDS {
        text = text.chars().take(LONGEST_WORDS).chain(['…']).collect();
    }
    text
}

/// Asks again and again until `done` says so.
///
/// # Errors
/// When it does not within half a minute.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        if Instant::now() > deadline {
            bail!("{what}: not within 30 s");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A process that is told to end, and waited for, when this value goes.
#[derive(Debug)]
pub(crate) struct Daemon(Child);

impl Daemon {
    /// Starts a program in the background, its output in `log`.
    ///
    /// # Errors
    /// When the log cannot be made or the program cannot be started.
    pub(crate) fn start(command: &mut Command, log: &std::path::Path) -> Result<Self> {
        let log = std::fs::File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", words(command)))?;
        Ok(Self(child))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        // Best effort: it may have ended by itself.
        if nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).is_ok() {
            drop(self.0.wait());
        }
    }
}
