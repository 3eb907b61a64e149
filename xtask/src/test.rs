//! `cargo xtask test`: formatting, lints, then every test of the workspace, built once.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::fixtures::Fixtures;
use crate::packages;
use crate::process::{cargo, is_root, programs, run as run_command, say, target_directory};

/// Runs all of it; `filter` is handed to the test runner, and then formatting and lints are left
/// out.
///
/// # Errors
/// When something cannot be installed or built, or when any check or test fails.
pub(crate) fn run(filter: &[&str]) -> Result<()> {
    if !is_root() {
        bail!("the tests make namespaces, mounts and machines: run them as root");
    }
    packages::install(&[packages::SANDBOX, packages::TESTS])?;
    // Made while the compiler works; most of its time goes into unpacking.
    let fixtures = Fixtures::begin()?;
    if filter.is_empty() {
        timed("fmt", || run_cargo(&["fmt", "--all", "--check"]))?;
        timed("clippy", || {
            run_cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ])
        })?;
        timed("doc", || {
            run_command(cargo().args(DOC).env("RUSTDOCFLAGS", "-D warnings"))
        })?;
    }
    timed("build", || {
        run_cargo(&["build", "--workspace", "--all-targets", "--quiet"])
    })?;
    let agent = stripped_agent()?;
    let fixtures = timed("fixtures", || fixtures.finish())?;
    run_tests(filter, &agent, &fixtures)
}

/// The libraries; the doc comments of the programs are help texts, which are no markdown.
const DOC: &[&str] = &[
    "doc",
    "--workspace",
    "--lib",
    "--no-deps",
    "--document-private-items",
    "--quiet",
];

fn run_cargo(arguments: &[&str]) -> Result<()> {
    run_command(cargo().args(arguments))
}

fn timed<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    say(&format!("==> {name}"));
    let outcome = work()?;
    say(&format!(
        "    {name}: {:.0} s",
        start.elapsed().as_secs_f64()
    ));
    Ok(outcome)
}

/// A copy of the agent without symbols: machines made by the tests each receive it over SSH, and
/// an unoptimised build is ten times the size of a released one.
fn stripped_agent() -> Result<PathBuf> {
    let stripped = target_directory().join("fixtures/berthd");
    std::fs::create_dir_all(target_directory().join("fixtures"))?;
    run_command(
        Command::new("strip")
            .args(["--strip-all", "-o"])
            .arg(&stripped)
            .arg(programs("debug").join("berthd")),
    )?;
    Ok(stripped)
}

fn run_tests(filter: &[&str], agent: &Path, fixtures: &[(&str, PathBuf)]) -> Result<()> {
    say("==> tests");
    let mut command = cargo();
    command
        .args(["nextest", "run", "--workspace", "--no-fail-fast"])
        .args(filter);
    command
        .env("BERTH_AGENT", agent)
        .envs(fixtures.iter().map(|(name, path)| (name, path)));
    command.env("BERTH_BIN", programs("debug").join("berth"));
    let mut child = command.stderr(Stdio::piped()).spawn().context(
        "cannot start cargo-nextest; install it with `cargo install cargo-nextest --locked`",
    )?;
    let summary = relay(&mut child)?;
    let status = child.wait()?;
    let counts = summary
        .as_deref()
        .map_or_else(Counts::default, Counts::read);
    say(&format!(
        "{} passed, {} failed, {} skipped",
        counts.passed, counts.failed, counts.skipped
    ));
    if !status.success() {
        bail!("tests failed ({status})");
    }
    if counts.passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

/// Copies the runner's output through, and returns its summary line.
fn relay(child: &mut Child) -> Result<Option<String>> {
    let mut summary = None;
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).lines() {
            let line = line?;
            writeln!(std::io::stderr(), "{line}")?;
            if line.contains("Summary [") {
                summary = Some(line);
            }
        }
    }
    Ok(summary)
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Counts {
    /// Reads nextest's summary, such as `Summary [ 1.2s] 3 tests run: 2 passed, 1 failed, 4 skipped`.
    fn read(summary: &str) -> Self {
        let mut counts = Self::default();
        let words: Vec<&str> = summary
            .split([' ', ',', '(', ')'])
            .filter(|w| !w.is_empty())
            .collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<u64>() else {
                continue;
            };
            match pair[1] {
                "passed" => counts.passed = number,
                "failed" => counts.failed += number,
                "timed" => counts.failed += number,
                "skipped" => counts.skipped = number,
                _ => {}
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn summary_of_a_mixed_run_is_read() {
        let line = "     Summary [   1.2s] 7 tests run: 4 passed (1 slow), 2 failed, 1 timed out, 5 skipped";
        assert_eq!(
            Counts::read(line),
            Counts {
                passed: 4,
                failed: 3,
                skipped: 5
            }
        );
    }
}
